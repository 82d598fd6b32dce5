"""The intermediate representation: types, ops, graphs, programs and plans, all frozen and printable."""
