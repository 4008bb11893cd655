import { execFile } from 'node:child_process'
import { chmod, copyFile, cp, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
export const LAUNCHER = 'bin/mcp-gateway-maintenance.js'

/**
 * Makes the program in `folder` as the package contains it: compiled, so that it starts in a third of the time that the source takes. The checkout's own
 * `dist` is not touched. Settings and migrations are copies, which a test may change.
 */
export async function compileInto(folder: string): Promise<void> {
  await mkdir(join(folder, 'bin'), { recursive: true })
  // Another user runs it too.
  await chmod(folder, 0o755)
  await copyFile(join(CHECKOUT, LAUNCHER), join(folder, LAUNCHER))
  for (const name of ['package.json', 'migrations', 'config']) await cp(join(CHECKOUT, name), join(folder, name), { recursive: true })
  await symlink(join(CHECKOUT, 'node_modules'), join(folder, 'node_modules'))
  await promisify(execFile)(process.execPath, [join(CHECKOUT, 'tools/build.ts'), join(folder, 'dist')])
}
