import { createHash, type Hash } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The content of a folder: of files their bytes, of symbolic links where they lead to. */
export type Tree = ReadonlyMap<string, Content>
export type Content = Tree | Buffer | string

export function isFile(content: Content): content is Buffer {
  return Buffer.isBuffer(content)
}

/** Without shared memory of SQLite. */
export async function readFolder(path: string): Promise<Tree> {
  const tree = new Map<string, Content>()
  for (const name of (await readdir(path)).toSorted()) {
    if (name.endsWith('-shm')) continue
    const each = join(path, name)
    const stats = await lstat(each)
    tree.set(name, stats.isDirectory() ? await readFolder(each) : stats.isSymbolicLink() ? await readlink(each) : await readFile(each))
  }
  return tree
}

export async function writeFolder(path: string, tree: Tree): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  for (const [name, content] of tree) {
    const each = join(path, name)
    if (isFile(content)) await writeFile(each, content, { mode: 0o600 })
    else if (typeof content === 'string') await symlink(content, each)
    else await writeFolder(each, content)
  }
}

/** Equal exactly if the two have the same names and bytes. */
export function fingerprint(tree: Tree): string {
  const sum = createHash('sha256')
  add(tree, sum)
  return sum.digest('hex')
}

function add(tree: Tree, sum: Hash): void {
  for (const [name, content] of [...tree].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (isFile(content)) sum.update(`file ${name} ${content.length} `).update(content)
    else if (typeof content === 'string') sum.update(`link ${name} ${content} `)
    else {
      sum.update(`folder ${name} `)
      add(content, sum)
      sum.update('end ')
    }
  }
}
