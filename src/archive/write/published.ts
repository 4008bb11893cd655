import { archiveFailed, damaged, SHARED } from '../damage.ts'
import { sha256 } from '../format.ts'
import { parseManifest } from '../manifest.ts'
import { alterationOf } from '../read/read-rows.ts'
import type { Step } from '../step.ts'
import type { Store } from '../store/store.ts'

/**
 * Before the first row of a part is deleted, or a replaced file is removed, checks by digest that the published files are those of the
 * step: anybody who can write to the folder could have put others there.
 */
export async function mustBeInPlace(store: Store, step: Step, confirmLease: () => Promise<void>): Promise<void> {
  try {
    await compare(store, step)
  } catch (error) {
    // If we were suspended past the lease, say that instead: another worker has discarded these files.
    await confirmLease()
    throw error
  }
}

async function compare(store: Store, { files }: Step): Promise<void> {
  for (const { manifest: path, sha256: sum, path: rows } of files) {
    const bytes = await store.read(path)
    if (bytes === undefined) throw archiveFailed(`${store.absolute(path)} was written, and is gone`)
    if (sha256(bytes) !== sum) throw damaged(`${store.absolute(path)} is not what was just put there. ${SHARED}`)
    const manifest = parseManifest(bytes, path)
    const file = manifest?.kind === 'rows' ? manifest.file : undefined
    if (manifest === undefined || file?.path !== rows)
      throw damaged(`${store.absolute(path)} does not describe the file that the database names`)
    const problem = file === undefined ? undefined : await alterationOf(store, file)
    if (problem !== undefined) throw damaged(`${store.absolute(problem)}, although it was just put there. ${SHARED}`)
  }
}
