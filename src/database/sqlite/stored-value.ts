/** A value as the driver hands it over when whole numbers are to be exact: INTEGER is a bigint, REAL a number. */
export type StoredValue = bigint | number | string | Uint8Array | null
