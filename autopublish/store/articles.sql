-- Statements about articles and their aliases.

-- name: alias_article
-- The article that an alias is bound to.
SELECT articles.* FROM aliases JOIN articles ON articles.id = aliases.article
WHERE aliases.kind = :kind AND aliases.scope = :scope AND aliases.digest = :digest;

-- name: alias_add
-- Bind an alias for good; one that is bound already stays where it is.
INSERT INTO aliases (kind, scope, digest, article) VALUES (:kind, :scope, :digest, :article)
ON CONFLICT (kind, scope, digest) DO NOTHING;

-- name: trace_articles
-- The articles that left a trace; no more than a document may show.
SELECT articles.* FROM traces JOIN articles ON articles.id = traces.article
WHERE traces.name = :name ORDER BY traces.article LIMIT 500;

-- name: trace_add
-- An article leaves a trace.
INSERT INTO traces (name, article) VALUES (:name, :article) ON CONFLICT (name, article) DO NOTHING;

-- name: article_add
-- A new article.
INSERT INTO articles (id, feed, origin, link, published, first_seen, baseline, data)
VALUES (:id, :feed, :origin, :link, :published, :first_seen, :baseline, :data);

-- name: article_change
-- An article as a later poll showed it; its identity and the time that it was first seen stay.
UPDATE articles SET link = :link, published = :published, baseline = :baseline, data = :data WHERE id = :id;

-- name: article_by_id
-- One article.
SELECT * FROM articles WHERE id = :id;

-- name: articles_newest
-- The newest articles.
SELECT * FROM articles ORDER BY published DESC, id LIMIT :most;

-- name: articles_like
-- Articles of which a part of the link or the whole id is known.
SELECT * FROM articles WHERE id = :text OR link = :text OR link LIKE :pattern ESCAPE '\' ORDER BY published DESC LIMIT :most;

-- name: articles_count
-- How many articles are known.
SELECT COUNT(*) AS n FROM articles;
