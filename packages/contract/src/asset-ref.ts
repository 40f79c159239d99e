/**
 * How a partner names an asset, in a path or in a payload: a trailer or delivery vehicle by its VIN, a plant by its id. A VIN
 * is normalized and an id is in lower case once intake or a mapping has read it.
 */
export type AssetRef = { readonly vin: string } | { readonly plantId: string };
