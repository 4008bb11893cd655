import assert from 'node:assert/strict'
import { cp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Copies of the compiled program that differ in one line: what a worker was before holds, and what it would be if it read them once a run. */
export const MUTANTS = {
  /** Knows nothing of holds, as every worker before migration 007. */
  older: [
    ['(await database.tablesAmong([HOLDS, LEDGER])).has(HOLDS)', 'false'],
    [
      'const found = await database.tablesAmong([HOLDS, LEDGER]);',
      'return false; const found = await database.tablesAmong([HOLDS, LEDGER]);',
    ],
  ],
  /** Reads them at the beginning of a run, and not again. */
  'once a run': [['async sparedIn(tx) {', 'async sparedIn(tx) { return spared;']],
} as const
export type Mutant = keyof typeof MUTANTS

/** Of the changes those are made whose text is there; there has to be one. */
export async function mutantOf(compiled: string, folder: string, mutant: Mutant): Promise<string> {
  for (const name of ['bin', 'config', 'migrations', 'package.json', 'dist'])
    await cp(join(compiled, name), join(folder, name), { recursive: true })
  await symlink(join(compiled, 'node_modules'), join(folder, 'node_modules'))
  let changed = 0
  for (const name of await readdir(join(folder, 'dist'), { recursive: true })) {
    if (!name.endsWith('.js')) continue
    const path = join(folder, 'dist', name)
    const text = await readFile(path, 'utf8')
    const other = MUTANTS[mutant].reduce((before, [from, to]) => before.replace(from, to), text)
    if (other === text) continue
    changed += 1
    await writeFile(path, other)
  }
  assert.ok(changed > 0, `the compiled program has no place to make "${mutant}" of it`)
  return folder
}
