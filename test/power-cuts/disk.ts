import { basename, dirname } from 'node:path'
import { isFile, type Content, type Tree } from './folder.ts'
import type { Opened, Operation } from './trace.ts'

/** A file or a folder, whatever its names. What was synced is `durable`; `pending` may be lost. */
export type Inode = File | Folder

export interface File {
  readonly kind: 'file'
  durable: Buffer
  pending: DataChange[]
  size: number
  /** When its size or one of its names changed. */
  readonly noted: Noted[]
}

export interface Folder {
  readonly kind: 'folder'
  readonly durable: Map<string, Inode | string>
  pending: NameChange[]
  /** As the system shows it. */
  readonly now: Map<string, Inode | string>
  readonly noted: Noted[]
}

/** A file system keeps changes of names and sizes in a journal, in their order. */
export type Noted = DataChange | NameChange

interface Change {
  readonly end: number
  /** `archive`, or what lies elsewhere. */
  readonly volume: Volume
  /** Its place in the journal. */
  readonly place: number
}

export interface DataChange extends Change {
  readonly kind: 'data'
  /** `undefined`: the size changes. */
  readonly data: Buffer | undefined
  /** Where it is written, or the new size. */
  readonly at: number
  /** Whether the size changes. */
  readonly resizes: boolean
}

export interface NameChange extends Change {
  readonly kind: 'name'
  readonly name: string
  /** `undefined`: the name is removed. */
  readonly inode: Inode | string | undefined
  /** The two changes of one rename, which no file system separates. */
  readonly rename: Rename | undefined
}

export interface Rename {
  synced: boolean
}

export type Volume = 'archive' | 'database'
export const VOLUMES: readonly Volume[] = ['archive', 'database']

/** The folder that is recorded, as operations are applied to it: what is on the disk, and what waits. */
export class Disk {
  readonly root: Folder
  /** All changes of names and sizes. */
  readonly journal: Noted[] = []
  /** How much of the journal is on the disk for certain: as one, and of each volume. */
  readonly synced: Record<Volume | 'whole', number> = { whole: 0, archive: 0, database: 0 }
  readonly #inodes = new Map<Opened, Inode>()
  readonly #positions = new Map<Opened, number>()

  constructor(image: Tree) {
    this.root = folderOf(image)
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case 'open':
        return this.#open(operation)
      case 'write': {
        const { opened, data } = operation
        const at = operation.offset ?? this.#positions.get(opened) ?? 0
        if (operation.offset === undefined) this.#positions.set(opened, at + data.length)
        return this.#write(this.#fileOf(opened), { ...operation, path: opened.path, at })
      }
      case 'truncate':
        return this.#write(this.#fileOf(operation.opened), {
          ...operation,
          path: operation.opened.path,
          data: undefined,
          at: operation.size,
        })
      case 'sync':
        return this.#sync(this.#inodes.get(operation.opened)!, operation.begin)
      case 'mkdir':
        return this.#name(operation, operation.path, folderOf(new Map()))
      case 'remove':
        return this.#name(operation, operation.path, undefined)
      case 'link':
        return this.#name(operation, operation.path, this.#at(operation.from))
      case 'rename': {
        const rename = { synced: false }
        this.#name(operation, operation.path, this.#at(operation.from), rename)
        return this.#name(operation, operation.from, undefined, rename)
      }
      default:
        return operation satisfies never
    }
  }

  #open({ opened, creates, empties, end }: Operation & { readonly kind: 'open' }): void {
    let inode = this.#at(opened.path)
    if (inode === undefined) {
      if (!creates) throw new Error(`${opened.path} was opened, and is not there`)
      inode = { kind: 'file', durable: Buffer.alloc(0), pending: [], size: 0, noted: [] }
      this.#name({ end }, opened.path, inode)
    }
    if (typeof inode === 'string') throw new Error(`${opened.path} was opened as a link`)
    this.#inodes.set(opened, inode)
    if (empties && inode.kind === 'file' && inode.size > 0) this.#write(inode, { path: opened.path, data: undefined, at: 0, end })
  }

  #write(
    file: File,
    { path, data, at, end }: { readonly path: string; readonly data: Buffer | undefined; readonly at: number; readonly end: number },
  ): void {
    const size = data === undefined ? at : Math.max(file.size, at + data.length)
    const resizes = size !== file.size
    const change: DataChange = { kind: 'data', data, at, resizes, end, volume: volumeOf(path), place: this.journal.length }
    file.size = size
    file.pending.push(change)
    if (resizes) this.#note(change, file)
  }

  #name({ end }: { readonly end: number }, path: string, inode: Inode | string | undefined, rename?: Rename): void {
    const folder = this.#at(dirname(path))
    if (folder === undefined || typeof folder === 'string' || folder.kind !== 'folder') throw new Error(`${path} is in no folder`)
    const name = basename(path)
    const before = folder.now.get(name)
    const change: NameChange = { kind: 'name', name, inode, rename, end, volume: volumeOf(path), place: this.journal.length }
    folder.pending.push(change)
    if (inode === undefined) folder.now.delete(name)
    else folder.now.set(name, inode)
    this.#note(change, folder, before, inode)
  }

  #note(change: Noted, ...touched: readonly (Inode | string | undefined)[]): void {
    this.journal.push(change)
    for (const inode of touched) if (typeof inode === 'object') inode.noted.push(change)
  }

  /** Covers what had ended when it began. */
  #sync(inode: Inode, begin: number): void {
    const isCovered = (change: Change): boolean => change.end < begin
    if (inode.kind === 'file') {
      inode.durable = written(inode.durable, inode.pending.filter(isCovered))
      inode.pending = inode.pending.filter((change) => !isCovered(change))
    } else {
      for (const change of inode.pending.filter(isCovered)) {
        setName(inode.durable, change)
        if (change.rename !== undefined) change.rename.synced = true
      }
      inode.pending = inode.pending.filter((change) => !isCovered(change))
    }
    const last = inode.noted.findLast(isCovered)
    if (last === undefined) return
    for (const journal of ['whole', last.volume] as const) this.synced[journal] = Math.max(this.synced[journal], last.place + 1)
  }

  #fileOf(opened: Opened): File {
    const inode = this.#inodes.get(opened)
    if (inode?.kind !== 'file') throw new Error(`${opened.path} is no file`)
    return inode
  }

  #at(path: string): Inode | string | undefined {
    let inode: Inode | string | undefined = this.root
    for (const name of path === '' || path === '.' ? [] : path.split('/'))
      inode = typeof inode === 'object' && inode.kind === 'folder' ? inode.now.get(name) : undefined
    return inode
  }
}

export function setName(names: Map<string, Inode | string>, { name, inode }: NameChange): void {
  if (inode === undefined) names.delete(name)
  else names.set(name, inode)
}

/** The bytes of a file after these changes. */
export function written(before: Buffer, changes: readonly DataChange[]): Buffer {
  if (changes.length === 0) return before
  let size = before.length
  let most = size
  for (const { data, at } of changes) {
    size = data === undefined ? at : Math.max(size, at + data.length)
    most = Math.max(most, size)
  }
  const after = Buffer.alloc(most)
  before.copy(after)
  let length = before.length
  for (const { data, at } of changes) {
    if (data === undefined) {
      if (at < length) after.fill(0, at, length)
      length = at
    } else {
      data.copy(after, at)
      length = Math.max(length, at + data.length)
    }
  }
  return after.subarray(0, length)
}

function folderOf(tree: Tree): Folder {
  const names = [...tree].map(([name, content]) => [name, inodeOf(content)] as const)
  return { kind: 'folder', durable: new Map(names), pending: [], now: new Map(names), noted: [] }
}

function inodeOf(content: Content): Inode | string {
  if (typeof content === 'string') return content
  return isFile(content) ? { kind: 'file', durable: content, pending: [], size: content.length, noted: [] } : folderOf(content)
}

function volumeOf(path: string): Volume {
  return path.startsWith('archive/') || path === 'archive' ? 'archive' : 'database'
}
