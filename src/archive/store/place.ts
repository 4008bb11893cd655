import { createHash } from 'node:crypto'
import { link, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, type GuardedTree, type OpenHandle } from './guarded-tree.ts'

/** The file system has no hard links, or allows none to this file. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'] as const
const CHUNK_BYTES = 2 ** 18

/**
 * Gives the file at `from` the name `to`, but never takes that from another file: `rename` would replace what is there, which may be the only copy
 * of somebody's rows. `false`: another file is at `to`; neither was touched. Afterwards the file may have both names: the caller removes `from`, once
 * the name `to` is durable.
 */
export async function placeAt(tree: GuardedTree, from: string, to: string, linked: typeof link = link): Promise<boolean> {
  const [source, target] = [join(tree.root, from), join(tree.root, to)]
  try {
    await linked(source, target)
  } catch (error) {
    if (isCode(error, 'EEXIST')) return await areSame(tree, from, to)
    if (!isCode(error, ...NO_LINKS)) throw error
    if (!(await claimed(target)) && !(await isClaim(tree, to))) return await areSame(tree, from, to)
    await rename(source, target)
  }
  return true
}

/** Whether both exist and differ in any byte. A name that is only reserved is no file yet. */
export async function areDifferent(tree: GuardedTree, a: string, b: string): Promise<boolean> {
  const left = await digestOf(tree, a)
  const right = left === undefined || (await isClaim(tree, b)) ? undefined : await digestOf(tree, b)
  return right !== undefined && left !== right
}

async function areSame(tree: GuardedTree, a: string, b: string): Promise<boolean> {
  const [left, right] = [await digestOf(tree, a), await digestOf(tree, b)]
  return left !== undefined && left === right
}

/** Reserves the name with an empty file. Only the caller that created it may then replace it. */
async function claimed(target: string): Promise<boolean> {
  try {
    await (await open(target, 'wx', 0o600)).close()
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}

/** Whether a name was reserved, and the process or the machine died before the file got it. No file of the archive is empty. */
async function isClaim(tree: GuardedTree, path: string): Promise<boolean> {
  const file = await tree.open(path)
  await file?.handle.close()
  return file?.bytes === 0
}

async function digestOf(tree: GuardedTree, path: string): Promise<string | undefined> {
  const file = await tree.open(path)
  if (file === undefined) return undefined
  try {
    return await read(file)
  } finally {
    await file.handle.close()
  }
}

async function read({ handle }: OpenHandle): Promise<string> {
  const sum = createHash('sha256')
  const buffer = Buffer.alloc(CHUNK_BYTES)
  for (let at = 0; ;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, at)
    if (bytesRead === 0) return sum.digest('hex')
    sum.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
}
