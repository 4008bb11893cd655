import { isOfArchive } from './cuts.ts'
import type { Operation } from './trace.ts'

/** The syncs of the program itself, by what they are for. SQLite's own are not among them. */
export const SYNCS = {
  'the write-ahead log, before files are moved or removed': ({ path, forReading }) => forReading && path === 'data/gateway.db-wal',
  'the folder of the database, where there is no such log': ({ path, forReading }) => forReading && path === 'data',
  'files of rows': ({ path }) => path.endsWith('.zst'),
  'manifests': ({ path }) => path.endsWith('.json'),
  'the names of files in the spool': ({ path, before }) => path.endsWith('/.writing') && before === 'open',
  'what was removed from the spool': ({ path, before }) => path.endsWith('/.writing') && before === 'remove',
  'the folders above a published file': ({ path, after }) => isAbove(path) && after === 'link',
  'the names of published files': ({ path, before }) => isDay(path) && before === 'link',
  'what was removed or set aside': ({ path, before }) => isDay(path) && before === 'remove',
  'the folders of an archive that is opened': ({ path, before, after }) =>
    (isAbove(path) || path.endsWith('/.writing')) && after !== 'link' && before !== 'open' && before !== 'remove',
  'the textfile': ({ path }) => path.includes('.prom'),
  'the name of the textfile': ({ path, last }) => path === 'data' && last === 'rename',
} as const satisfies Readonly<Record<string, (sync: Sync) => boolean>>

export type SyncName = keyof typeof SYNCS
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its own keys
export const SYNC_NAMES = Object.keys(SYNCS) as readonly SyncName[]

interface Sync {
  readonly path: string
  readonly forReading: boolean
  /** The kind of the operation on names before it in the archive, and of that after it. */
  readonly before: Operation['kind'] | undefined
  readonly after: Operation['kind'] | undefined
  /** The kind of the operation before it, wherever that was. */
  readonly last: Operation['kind'] | undefined
}

/** The places of these syncs in a recording. */
export function placesOf(name: SyncName, operations: readonly Operation[]): ReadonlySet<number> {
  const isName = (operation: Operation): boolean =>
    isOfArchive(operation) && (operation.kind === 'open' ? operation.creates : !['sync', 'write', 'truncate'].includes(operation.kind))
  const places = new Set<number>()
  for (const [place, operation] of operations.entries()) {
    if (operation.kind !== 'sync') continue
    const sync = {
      ...operation.opened,
      before: operations.findLast((each, at) => at < place && isName(each))?.kind,
      after: operations.find((each, at) => at > place && isName(each))?.kind,
      last: operations.findLast((each, at) => at < place && each.kind !== 'open')?.kind,
    }
    if (SYNCS[name](sync)) places.add(place)
  }
  return places
}

function isDay(path: string): boolean {
  return /^archive\/(?:reconciled\/)?audit_logs\/\d{4}\/\d\d\/\d\d$/.test(path)
}

function isAbove(path: string): boolean {
  return /^archive(?:\/reconciled)?(?:\/audit_logs(?:\/\d{4}(?:\/\d\d)?)?)?$/.test(path)
}
