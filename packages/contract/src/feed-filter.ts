/** The fleets and assets that a subscriber's filter names: UUIDs in lower case, VINs normalized. */
export interface FilterNames {
  /** By UUID. */
  readonly fleets: readonly string[];
  /** By UUID or VIN. */
  readonly trailers: readonly string[];
  /** By UUID or VIN. */
  readonly deliverSafe: readonly string[];
  /** By UUID. */
  readonly plants: readonly string[];
}

/** The same as ids; both empty: nothing was named. */
export interface FilterIds {
  readonly fleetIds: readonly string[];
  /** Trailers, DeliverSafe units and plants together. */
  readonly assetIds: readonly string[];
}
