/** A copy with twice the room, the same from the beginning on. */
export function doubled<A extends Float64Array | Int32Array | Uint8Array>(array: A): A {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- typed arrays are made by the length, and a Buffer, which is not, by its own function
  const larger =
    array instanceof Buffer
      ? Buffer.allocUnsafeSlow(2 * array.length)
      : new (array.constructor as new (room: number) => A)(2 * array.length)
  larger.set(array)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of the same class
  return larger as A
}
