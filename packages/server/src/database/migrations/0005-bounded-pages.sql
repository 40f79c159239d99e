-- Pages that examine a bounded number of rows (decision 0010).

-- Pages of the latest values walk an organization's assets, of every kind, in the order of their ids. `nulls first`, so
-- that a statement can ask for the order of this index and no other; an id is never null.
create index asset_walk on asset (organization_id, id nulls first);

-- A page of the feed reads how far everything is visible on the connection it reads the records on. It is one number,
-- and the position of any record tells as much.
grant select on telemetry_position to gladhand_app;
