-- What each mapping version of a product was when it first mapped a payload. From then on it is frozen: with another
-- content under the same number, the same payload sent again would become a second record. Of the installation, so
-- there is no organization_id; the mapper writes it, a start compares the files with it.
create table product_version (
  product         text not null check (length(product) between 1 and 63),
  version         integer not null check (version > 0),
  content_hash    text not null check (content_hash ~ '^sha256:[0-9a-f]{64}$'),
  first_mapped_at timestamptz(3) not null,
  primary key (product, version)
);
grant select, insert on product_version to gladhand_system;
