import { createHash } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, type GuardedTree, type OpenFile } from './guarded-tree.ts'

/** The file system has no hard links, or allows none to this file. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'] as const
const CHUNK_BYTES = 2 ** 18

/**
 * Moves the file at `from` to `to`, but never over another file: `rename` would replace what is there, which may be the only copy of
 * somebody's rows. `false`: another file is at `to`; neither was touched. If it is interrupted, the file may have both names; repeating the
 * call completes it.
 */
export async function moveTo(tree: GuardedTree, from: string, to: string, linked: typeof link = link): Promise<boolean> {
  const [source, target] = [join(tree.root, from), join(tree.root, to)]
  try {
    await linked(source, target)
  } catch (error) {
    if (isCode(error, 'EEXIST')) return await moveOntoItself(tree, from, to)
    if (!isCode(error, ...NO_LINKS)) throw error
    if (!(await claimed(target))) return await moveOntoItself(tree, from, to)
    await rename(source, target)
    return true
  }
  await rm(source)
  return true
}

/** Whether both exist and differ in any byte. */
export async function areDifferent(tree: GuardedTree, a: string, b: string): Promise<boolean> {
  const left = await digestOf(tree, a)
  const right = left === undefined ? undefined : await digestOf(tree, b)
  return right !== undefined && left !== right
}

async function moveOntoItself(tree: GuardedTree, from: string, to: string): Promise<boolean> {
  const [left, right] = [await digestOf(tree, from), await digestOf(tree, to)]
  if (left === undefined || left !== right) return false
  await rm(join(tree.root, from))
  return true
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

async function digestOf(tree: GuardedTree, path: string): Promise<string | undefined> {
  const file = await tree.open(path)
  if (file === undefined) return undefined
  try {
    return await read(file)
  } finally {
    await file.handle.close()
  }
}

async function read({ handle }: OpenFile): Promise<string> {
  const sum = createHash('sha256')
  const buffer = Buffer.alloc(CHUNK_BYTES)
  for (let at = 0; ;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, at)
    if (bytesRead === 0) return sum.digest('hex')
    sum.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
}
