import { isOfArchive } from './cuts.ts'
import { pathIn, type Operation } from './trace.ts'

/** One sync of the program itself; SQLite's own are not meant. */
interface Sync {
  readonly path: string
  /** Not opened by SQLite. */
  readonly own: boolean
  /** The operation on names of the archive before it. */
  readonly behind: Operation | undefined
}

interface SyncKind {
  readonly name: string
  readonly is: (sync: Sync) => boolean
  /** Where it is missed first: the name of a scenario. */
  readonly missedIn: string
}

const PUBLISHED = /^archive\/(?:reconciled\/)?audit_logs\/\d{4}\/\d\d\/\d\d$/
const ABOVE = /^archive(?:\/reconciled)?(?:\/audit_logs(?:\/\d{4}(?:\/\d\d)?)?)?$/

/** Each must be missed when it is dropped from a recording; one that is not is needless. */
export const SYNCS: readonly SyncKind[] = [
  {
    name: 'the write-ahead log, before files are moved or removed',
    is: ({ path, own }) => own && path === 'data/gateway.db-wal',
    missedIn: 'killed deleting, write-ahead log',
  },
  {
    name: 'the folder of the database, where there is no such log',
    is: ({ path, own, behind }) => own && path === 'data' && behind !== undefined,
    missedIn: 'killed publishing, rollback journal',
  },
  {
    name: 'the folder of the database, after a migration',
    is: ({ path, own, behind }) => own && path === 'data' && behind === undefined,
    missedIn: 'migration, rollback journal',
  },
  {
    name: 'the folder of the database, after a restore',
    is: ({ path, own, behind }) => own && path === 'data' && behind === undefined,
    missedIn: 'restore, rollback journal',
  },
  { name: 'files of rows', is: ({ path }) => path.endsWith('.zst'), missedIn: 'first run, write-ahead log' },
  { name: 'manifests', is: ({ path }) => path.endsWith('.json'), missedIn: 'first run, write-ahead log' },
  {
    name: 'the names of files in the spool',
    is: ({ path, behind }) => path.endsWith('/.writing') && behind?.kind === 'open',
    missedIn: 'expired files, write-ahead log',
  },
  {
    name: 'files of rows that were removed from the spool',
    is: ({ path, behind }) => path.endsWith('/.writing') && behind?.kind === 'remove',
    missedIn: 'killed publishing, rollback journal',
  },
  { name: 'the folder in which the archive was made', is: ({ path }) => path === '', missedIn: 'first run, write-ahead log' },
  { name: 'the folders above a published file', is: ({ path }) => ABOVE.test(path), missedIn: 'first run, write-ahead log' },
  {
    name: 'the names of published files',
    is: ({ path, behind }) => PUBLISHED.test(path) && behind?.kind !== 'remove',
    missedIn: 'first run, write-ahead log',
  },
  {
    name: 'files of rows that were removed from the archive',
    is: ({ path, behind }) => PUBLISHED.test(path) && isRemoval(behind, '.zst'),
    missedIn: 'expired files, write-ahead log',
  },
  {
    name: 'manifests that were removed from the archive',
    is: ({ path, behind }) => PUBLISHED.test(path) && isRemoval(behind, '.json'),
    missedIn: 'killed deleting, write-ahead log',
  },
  { name: 'the textfile', is: ({ path }) => path.includes('.prom'), missedIn: 'textfile' },
  { name: 'the name of the textfile', is: ({ path, own, behind }) => own && path === 'data' && behind === undefined, missedIn: 'textfile' },
]

/** The places of these syncs in a recording. */
export function placesOf({ is }: SyncKind, operations: readonly Operation[]): ReadonlySet<number> {
  const places = new Set<number>()
  let behind: Operation | undefined
  for (const [place, operation] of operations.entries()) {
    if (changesNames(operation) && isOfArchive(operation)) behind = operation
    if (operation.kind === 'sync' && is({ path: operation.opened.path, own: operation.opened.forReading, behind })) places.add(place)
  }
  return places
}

function changesNames(operation: Operation): boolean {
  return operation.kind === 'open' ? operation.creates : !['sync', 'write', 'truncate'].includes(operation.kind)
}

function isRemoval(operation: Operation | undefined, suffix: string): boolean {
  return operation?.kind === 'remove' && pathIn(operation).endsWith(suffix)
}
