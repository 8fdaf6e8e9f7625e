"""How registers and reference areas come in: readers of formats, what a column can mean, what a row says, loading."""
