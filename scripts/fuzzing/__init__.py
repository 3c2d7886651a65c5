"""Files that are damaged on purpose: how good ones are made, how they are damaged, who reads them, and what came of it."""
