import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
  type Dirent,
  type Stats,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { S3Failure } from './answer.ts'
import { inByteOrder, type Objects, type Version } from './objects.ts'

/**
 * Objects that are the regular files of a folder, as they are whenever one asks: tests look at them and change them behind the server's back. Everything here
 * is done without waiting, so that each request takes effect at one moment.
 */
export class FolderObjects implements Objects {
  readonly #root: string
  readonly #etagOf: (body: Buffer) => string

  constructor(root: string, etagOf: (body: Buffer) => string) {
    this.#root = root
    this.#etagOf = etagOf
  }

  keys(prefix: string): readonly string[] {
    return inByteOrder([...this.#below(prefix.slice(0, prefix.lastIndexOf('/') + 1))].filter((key) => key.startsWith(prefix)))
  }

  *#below(folder: string): Generator<string> {
    for (const entry of entriesOf(join(this.#root, folder)))
      if (entry.isDirectory()) yield* this.#below(`${folder}${entry.name}/`)
      else if (entry.isFile()) yield folder + entry.name
  }

  versions(key: string): readonly Version[] {
    const file = this.#fileOf(key)
    const stats = file === undefined ? undefined : statsOf(file)
    if (file === undefined || stats?.isFile() !== true) return []
    const etagOf = this.#etagOf
    let read: Buffer | undefined
    return [
      {
        id: 'null',
        modifiedAt: stats.mtimeMs,
        metadata: {},
        // Read only if somebody asks for it.
        get body() {
          return (read ??= readFileSync(file))
        },
        get etag() {
          return etagOf((read ??= readFileSync(file)))
        },
      },
    ]
  }

  replace(key: string, versions: readonly Version[]): void {
    const file = this.#fileOf(key)
    const version = versions.at(-1)
    if (version?.body === undefined) {
      if (file !== undefined) rmSync(file, { force: true })
      return
    }
    if (file === undefined) throw new S3Failure(501, 'NotImplemented', 'A key that is no path of a file is not implemented.')
    mkdirSync(dirname(file), { recursive: true })
    // Whoever looks at the folder meanwhile sees the whole object or none.
    const draft = join(this.#root, '.draft')
    writeFileSync(draft, version.body)
    utimesSync(draft, version.modifiedAt / 1_000, version.modifiedAt / 1_000)
    renameSync(draft, file)
  }

  /** `undefined`: such a key would lead to another file, or out of the folder. */
  #fileOf(key: string): string | undefined {
    return key.includes('\0') || key.split('/').some((name) => name === '' || name === '.' || name === '..')
      ? undefined
      : join(this.#root, key)
  }
}

/** None where there is no such folder. */
function entriesOf(folder: string): readonly Dirent[] {
  return unlessAbsent(() => readdirSync(folder, { withFileTypes: true })) ?? []
}

function statsOf(file: string): Stats | undefined {
  return unlessAbsent(() => lstatSync(file))
}

function unlessAbsent<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}
