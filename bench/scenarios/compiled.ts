import { execFile } from 'node:child_process'
import { copyFile, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const LAUNCHER = 'bin/mcp-gateway-maintenance.js'

/** The program as the package contains it, below `parent`; the checkout's own `dist` is not touched. */
export async function compiled(parent: string): Promise<{ readonly program: string; readonly packages: string }> {
  const folder = join(parent, 'compiled')
  await mkdir(join(folder, 'bin'), { recursive: true })
  for (const shared of ['package.json', 'migrations', 'config', 'node_modules']) await symlink(join(ROOT, shared), join(folder, shared))
  await copyFile(join(ROOT, LAUNCHER), join(folder, LAUNCHER))
  await copyFile(join(ROOT, 'bench/processes/packages.js'), join(folder, 'packages.js'))
  await promisify(execFile)(process.execPath, [join(ROOT, 'tools/build.ts'), join(folder, 'dist')])
  return { program: join(folder, LAUNCHER), packages: join(folder, 'packages.js') }
}
