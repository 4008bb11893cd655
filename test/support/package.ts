import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * What `npm run test:package` runs: the tests of the program as a process, on the package as it is packed and installed, by the machine's own Node.
 * Where that is too old for the package, by the checkout's.
 */
async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'maintenance-packed-'))
  try {
    const node = machinesNode()
    process.stdout.write(`the package on Node ${versionOf(node)}\n`)
    npm(['run', 'build'], CHECKOUT)
    const file = npm(['pack', '--silent', '--pack-destination', folder], CHECKOUT).trim().split('\n').at(-1)!
    npm(['install', '--prefix', folder, '--ignore-scripts', join(folder, file)], folder)
    return await test({ TEST_PACKAGE_ROOT: join(folder, 'node_modules/mcp-gateway-maintenance'), TEST_PACKAGE_NODE: node })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const LEAST = [22, 18] as const
/** Those that look at modules of the source, or copy it, stay out. */
const FILES = ['run-now', 'worker', 'interruption', 'safety', 'many-workers'].map((name) => `test/process/${name}.test.ts`)

/** `node` on the PATH that npm makes for scripts is the checkout's; npm says which one it runs on itself. */
function machinesNode(): string {
  const node = process.env['npm_node_execpath'] ?? process.execPath
  const [major = 0, minor = 0] = versionOf(node).split('.').map(Number)
  return major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1]) ? node : process.execPath
}

function versionOf(node: string): string {
  return execFileSync(node, ['--print', 'process.versions.node'], { encoding: 'utf8' }).trim()
}

function npm(words: readonly string[], cwd: string): string {
  return execFileSync('npm', words, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function test(env: Readonly<Record<string, string>>): Promise<number> {
  const child = spawn(process.execPath, [join(CHECKOUT, 'test/support/run.ts'), ...FILES], {
    cwd: CHECKOUT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

process.exitCode = await main()
