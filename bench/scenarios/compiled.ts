import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compileInto, LAUNCHER } from '../../test/support/compiled.ts'

const PACKAGES = fileURLToPath(new URL('../processes/packages.js', import.meta.url))

/** The program as the package contains it, below `parent`, and beside it a script that imports the same packages. */
export async function compiled(parent: string): Promise<{ readonly program: string; readonly packages: string }> {
  const folder = join(parent, 'compiled')
  await compileInto(folder)
  await copyFile(PACKAGES, join(folder, 'packages.js'))
  return { program: join(folder, LAUNCHER), packages: join(folder, 'packages.js') }
}
