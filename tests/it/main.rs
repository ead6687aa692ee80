//! Every test of the whole, in one binary, so that it is linked once.

mod architecture;
