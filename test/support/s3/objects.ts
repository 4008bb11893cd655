export interface Version {
  readonly id: string
  readonly modifiedAt: number
  readonly etag: string
  readonly metadata: Readonly<Record<string, string>>
  /** `undefined`: a marker, which says that the object was deleted. */
  readonly body: Buffer | undefined
}

/** Where a bucket has its objects. */
export interface Objects {
  /** Of all objects that are there and begin so, in the order of their UTF-8 bytes. */
  keys(prefix: string): readonly string[]
  /** The oldest first. */
  versions(key: string): readonly Version[]
  /** None: nothing is left of it. */
  replace(key: string, versions: readonly Version[]): void
}

export class MemoryObjects implements Objects {
  readonly #objects = new Map<string, readonly Version[]>()
  #sorted: readonly string[] | undefined

  keys(prefix: string): readonly string[] {
    this.#sorted ??= inByteOrder([...this.#objects].filter(([, versions]) => versions.at(-1)?.body !== undefined).map(([key]) => key))
    return prefix === '' ? this.#sorted : this.#sorted.filter((key) => key.startsWith(prefix))
  }

  versions(key: string): readonly Version[] {
    return this.#objects.get(key) ?? []
  }

  replace(key: string, versions: readonly Version[]): void {
    if (versions.length === 0) this.#objects.delete(key)
    else this.#objects.set(key, versions)
    this.#sorted = undefined
  }
}

export function inByteOrder(keys: readonly string[]): readonly string[] {
  return keys
    .map((key) => ({ key, bytes: Buffer.from(key) }))
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key }) => key)
}
