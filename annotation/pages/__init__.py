"""The pages: one file a page, each with a function that `frame.page` decorates; the application loads all of them."""
