<?php
/*
 * An editor at the keyboard of a WordPress: php tool.php ROOT VERB < JSON, answers one line of JSON.
 *   install  {"url", "title", "language"}
 *   publish  [{"title", "content", "excerpt", "date_gmt", "modified_gmt", "categories", "tags",
 *             "featured": {"file", "alt"}}, ...]
 *   edit     {"id", and any of the fields above}
 *   clear    null
 */
error_reporting(E_ALL & ~E_DEPRECATED & ~E_NOTICE & ~E_WARNING);
[, $root, $verb] = $argv;
$input = json_decode(stream_get_contents(STDIN), true);
if ($verb === 'install') {
    define('WP_INSTALLING', true);
}
$_SERVER['HTTP_HOST'] = '127.0.0.1';
$_SERVER['REQUEST_METHOD'] = 'GET';
require $root . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter('pre_wp_mail', '__return_true');
add_filter('pre_http_request', fn() => new WP_Error('offline', 'offline'));

function check($value) {
    if (is_wp_error($value)) {
        fwrite(STDERR, $value->get_error_message() . "\n");
        exit(1);
    }
    return $value;
}

function fields(array $article): array {
    $names = ['id' => 'ID', 'title' => 'post_title', 'content' => 'post_content', 'excerpt' => 'post_excerpt',
              'date_gmt' => 'post_date_gmt'];
    $post = [];
    foreach (array_intersect_key($names, $article) as $from => $to) {
        $post[$to] = $article[$from];
    }
    if (isset($post['post_date_gmt'])) {
        $post['post_date'] = get_date_from_gmt($post['post_date_gmt']);
        $post['edit_date'] = true; // without it WordPress keeps a draft's date open
    }
    if (isset($article['categories'])) {
        $post['post_category'] = array_map(function ($name) {
            $term = term_exists($name, 'category') ?: check(wp_insert_term($name, 'category'));
            return (int) $term['term_id'];
        }, $article['categories']);
    }
    if (isset($article['tags'])) {
        $post['tags_input'] = $article['tags'];
    }
    return $post;
}

/* WordPress itself stamps each change with the current second. */
function stamp(int $id, array $article): void {
    if (isset($article['modified_gmt'])) {
        global $wpdb;
        $wpdb->update($wpdb->posts, ['post_modified_gmt' => $article['modified_gmt'],
            'post_modified' => get_date_from_gmt($article['modified_gmt'])], ['ID' => $id]);
        clean_post_cache($id);
    }
}

function remove_all(): int {
    $posts = get_posts(['numberposts' => -1, 'post_type' => ['post', 'page'], 'post_status' => 'any']);
    foreach ($posts as $post) {
        wp_delete_post($post->ID, true);
    }
    return count($posts);
}

/* A file of the uploads folder becomes the article's featured image. */
function feature(int $id, array $image): void {
    $uploads = wp_upload_dir();
    $file = $uploads['basedir'] . '/' . $image['file'];
    $type = wp_check_filetype($file)['type'];
    $media = check(wp_insert_attachment(['post_mime_type' => $type, 'post_title' => 'Gambar', 'post_status' => 'inherit'],
        $file, $id, true));
    wp_update_attachment_metadata($media, wp_generate_attachment_metadata($media, $file));
    update_post_meta($media, '_wp_attachment_image_alt', wp_slash($image['alt']));
    set_post_thumbnail($id, $media);
}

/* As the editor does it: first a draft, so that the guid is the ?p=ID form. */
function publish(array $article): array {
    $post = fields($article);
    $id = check(wp_insert_post(wp_slash(['post_status' => 'draft', 'post_author' => 1] + $post), true));
    $dates = array_intersect_key($post, ['post_date' => 1, 'post_date_gmt' => 1, 'edit_date' => 1]);
    check(wp_update_post(['ID' => $id, 'post_status' => 'publish'] + $dates, true));
    if (isset($article['featured'])) {
        feature($id, $article['featured']);
    }
    stamp($id, $article);
    return ['id' => $id, 'link' => get_permalink($id), 'date_gmt' => get_post($id)->post_date_gmt];
}

switch ($verb) {
case 'install':
    wp_install($input['title'], 'admin', 'admin@example.org', true, '', wp_generate_password(), $input['language']);
    update_option('siteurl', $input['url']);
    update_option('home', $input['url']);
    update_option('timezone_string', 'Asia/Makassar');
    update_option('rss_use_excerpt', 0);
    remove_all();
    update_option('permalink_structure', '/%year%/%monthnum%/%day%/%postname%/');
    $GLOBALS['wp_rewrite']->init();
    $GLOBALS['wp_rewrite']->flush_rules(false);
    $answer = $GLOBALS['wp_version'];
    break;
case 'publish':
    $answer = array_map('publish', $input);
    break;
case 'edit':
    $answer = check(wp_update_post(wp_slash(fields($input)), true));
    stamp($input['id'], $input);
    break;
case 'clear':
    $answer = remove_all();
    break;
default:
    check(new WP_Error('verb', "unknown verb $verb"));
}
echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
