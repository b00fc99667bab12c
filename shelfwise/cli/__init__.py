"""The command line: one module a group of commands, thin over Shop."""

import gc

# A command makes half a million objects before it begins and keeps them: a tenth of `recommend` went into looking
# through them for garbage.
gc.set_threshold(20_000, 20, 20)
