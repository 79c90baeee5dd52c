"""Pictures as people have them: in folders, zip and tar archives; what lies there, and its pixels."""
