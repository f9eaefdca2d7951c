-- Nothing to do: here the column itself tells its type.
DO 0;
