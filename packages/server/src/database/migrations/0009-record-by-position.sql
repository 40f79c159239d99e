-- LiveFeed reads what has become visible once for all organizations, in the order of positions, instead of once for each.
-- `nulls first`, so that only a statement that asks for this order gets it: a page of one organization's feed would examine
-- the records of all the others here (decision 0010). A position is never null. `where` leaves nothing out either: the
-- planner looks up the ends of an index that is not partial, one more read for each partition and page.
create index record_tail on record (position nulls first) where position > 0;
