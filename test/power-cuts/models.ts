import type { Random } from '../faults/random.ts'
import { setName, VOLUMES, written, type DataChange, type Disk, type Folder, type Inode, type NameChange, type Rename } from './disk.ts'
import type { Content, Tree } from './folder.ts'

/** What a power cut leaves, by how a file system keeps what was not synced. */
export const MODELS = {
  /** Everything: what the system shows, as after a kill. */
  kill: () => ({ names: all, data: all }),
  /** Only what was synced. */
  synced: () => ({ names: none, data: none }),
  /** Every name, and of files only what was synced. */
  names: () => ({ names: all, data: none }),
  /** Of files everything, and only the names that were synced. */
  data: () => ({ names: none, data: all }),
  /** Of each file and folder whatever it may be, some writes torn. */
  any: (_, random) => anything(random),
  /** ext4: names and sizes as a part of their order that ends somewhere after what was synced; what was overwritten in any order. */
  ext4: (disk, random) => ordered(random, journalUpTo(disk, random)),
  /** ext4, with no more than what was synced. */
  'ext4-synced': (disk) => ({ ...ordered(undefined, journalUpTo(disk, undefined)), data: none }),
  /** ext4, with the archive on a file system of its own: two orders that know nothing of each other. */
  'two-disks': (disk, random) => ordered(random, journalsUpTo(disk, random)),
  'two-disks-synced': (disk) => ({ ...ordered(undefined, journalsUpTo(disk, undefined)), data: none }),
} as const satisfies Readonly<Record<string, (disk: Disk, random: Random) => Kept>>

export type ModelName = keyof typeof MODELS
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its own keys
export const MODEL_NAMES = Object.keys(MODELS) as readonly ModelName[]

/** Which of the changes that wait are on the disk. */
interface Kept {
  readonly names: (pending: readonly NameChange[]) => readonly NameChange[]
  readonly data: (pending: readonly DataChange[]) => readonly DataChange[]
}

/** A state that the disk may be left in at this moment. */
export function stateOf(disk: Disk, model: ModelName, random: Random): Tree {
  return treeOf(disk.root, MODELS[model](disk, random))
}

function treeOf(folder: Folder, kept: Kept): Tree {
  const names = new Map<string, Inode | string>(folder.durable)
  for (const change of kept.names(folder.pending)) setName(names, change)
  return new Map([...names].map(([name, inode]) => [name, contentOf(inode, kept)]))
}

function contentOf(inode: Inode | string, kept: Kept): Content {
  if (typeof inode === 'string') return inode
  return inode.kind === 'folder' ? treeOf(inode, kept) : written(inode.durable, kept.data(inode.pending))
}

function all<T>(pending: readonly T[]): readonly T[] {
  return pending
}

function none(): readonly never[] {
  return []
}

function anything(random: Random): Kept {
  const renamed = new Map<Rename, boolean>()
  return {
    names: (pending) => {
      const chosen = someOf(pending, random)
      return pending.filter(({ rename }, index) => {
        if (rename === undefined) return chosen[index]
        if (!renamed.has(rename)) renamed.set(rename, rename.synced || chosen[index]!)
        return renamed.get(rename)
      })
    },
    data: (pending) => {
      const chosen = someOf(pending, random)
      return pending.filter((_, index) => chosen[index]).flatMap((change) => torn(change, random))
    },
  }
}

/** None, all, the first ones, or any. */
function someOf(pending: readonly unknown[], random: Random): readonly boolean[] {
  const way = random.pick(['none', 'all', 'first', 'any', 'any'] as const)
  const first = random.whole(0, pending.length)
  return pending.map((_, index) => way === 'all' || (way === 'first' ? index < first : way === 'any' && random.fraction() < 0.5))
}

const SECTOR_BYTES = 512

/** A disk writes whole sectors, in any order. */
function torn(change: DataChange, random: Random): readonly DataChange[] {
  const { data, at } = change
  if (data === undefined || data.length <= SECTOR_BYTES || random.fraction() < 0.7) return [change]
  const sectors: DataChange[] = []
  for (let from = 0; from < data.length; from += SECTOR_BYTES)
    if (random.fraction() < 0.5) sectors.push({ ...change, at: at + from, data: data.subarray(from, from + SECTOR_BYTES) })
  return sectors
}

type Journalled = (change: NameChange | DataChange) => boolean

/** Content that makes a file longer is written before its new size is. */
function ordered(random: Random | undefined, isJournalled: Journalled): Kept {
  return {
    names: (pending) => pending.filter(isJournalled),
    data: (pending) => {
      const sizes = pending.filter((change) => change.resizes && isJournalled(change))
      const grown = new Set(sizes.slice(0, random?.whole(0, sizes.length) ?? 0))
      const way = random?.pick(['none', 'all', 'any'] as const)
      return pending.filter((change) => (change.resizes ? grown.has(change) : way === 'all' || (way === 'any' && random!.fraction() < 0.5)))
    },
  }
}

function journalUpTo(disk: Disk, random: Random | undefined): Journalled {
  const end = random?.whole(disk.synced.whole, disk.journal.length) ?? disk.synced.whole
  return ({ place }) => place < end
}

function journalsUpTo(disk: Disk, random: Random | undefined): Journalled {
  const ends = new Map(VOLUMES.map((volume) => [volume, random?.whole(disk.synced[volume], disk.journal.length) ?? disk.synced[volume]]))
  return ({ place, volume }) => place < ends.get(volume)!
}
