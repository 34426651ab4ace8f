"""The whole line against servers that nobody here wrote: articles of a WordPress, posts on a Bluesky PDS."""
