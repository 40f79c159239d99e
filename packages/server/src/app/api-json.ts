/** As much of JSON as is looked at while the OpenAPI document is made. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}
