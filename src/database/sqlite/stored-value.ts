/** A value as the driver returns it with exact integers: INTEGER is a bigint, REAL a number. */
export type StoredValue = bigint | number | string | Uint8Array | null
