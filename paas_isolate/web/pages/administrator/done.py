"""After something was done: the browser gets a page of ours next, with a sentence above that says so."""
