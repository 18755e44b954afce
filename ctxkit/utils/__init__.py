"""Import paths kept for users; nothing inside ctxkit uses them."""
