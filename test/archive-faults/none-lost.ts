import assert from 'node:assert/strict'
import { rowsAt, type Site } from '../archive/sites.ts'
import type { TestDatabase } from '../support/engines.ts'
import { idsInTable } from './killed-runs.ts'

/** Each of these rows is in the table or in an archive. */
export async function noneLost(outside: TestDatabase, sites: readonly Site[], ids: readonly number[], at: string): Promise<void> {
  const found = new Set(await idsInTable(outside))
  for (const site of sites) for (const { id } of await rowsAt(site)) found.add(Number(id))
  assert.deepEqual(
    ids.filter((id) => !found.has(id)),
    [],
    `${at}: lost rows`,
  )
}
