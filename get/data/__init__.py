"""Images, as one HDF5 store per data set."""
