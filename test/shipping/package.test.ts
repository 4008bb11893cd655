import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { accessSync, constants } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { JOBS } from '../../src/catalogue.ts'
import { loadedBy, TELLING_LOADS } from '../support/loading.ts'
import { CHECKOUT, filesBelow, outOfReach, packagingEnvironment, run, type Done } from './checkout.ts'
import { linksIn, readDocuments } from './documents.ts'

const PATH = (process.env['PATH'] ?? '').split(delimiter)

/** What `npm pack --json` says about a package. */
interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

describe('the package', () => {
  let folder = ''
  let consumer = ''
  let packed: readonly string[] = []
  let installed: Done
  let unreachable: string | undefined

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'maintenance-package-'))
    consumer = join(folder, 'empty')
    await mkdir(consumer)
    const copy = join(folder, 'checkout')
    for (const file of await filesBelow(CHECKOUT, (path) => /(^|\/)(node_modules|dist|\.git)$/.test(path)))
      await cp(join(CHECKOUT, file), join(copy, file), { verbatimSymlinks: true })
    await symlink(join(CHECKOUT, 'node_modules'), join(copy, 'node_modules'))

    // As the README says to install it.
    succeeded(await run('npm', ['run', 'build'], { cwd: copy }))
    const { stdout } = succeeded(await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: copy }))
    const [made]: [Packed] = JSON.parse(stdout.slice(stdout.indexOf('[')))
    packed = made.files.map(({ path }) => path)
    installed = await run('npm', ['install', join(folder, made.filename)], { cwd: consumer, env: await bareEnvironment(folder) })
    unreachable = outOfReach(installed)
  })

  after(() => rm(folder, { recursive: true, force: true }))

  const test = (name: string, body: () => Promise<void>): void =>
    void it(name, async (context) => (unreachable === undefined ? await body() : context.skip(unreachable)))

  const launcher = (): string => join(consumer, 'node_modules/mcp-gateway-maintenance/bin/mcp-gateway-maintenance.js')

  test('contains what runs and what people read, and no source', () => {
    const tops = new Set(packed.map((path) => path.split('/')[0]!))
    const read = ['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md', 'bench', 'compose.yaml', 'docs', 'test']
    const wanted = [...read, 'bin', 'config', 'deploy', 'dist', 'migrations', 'package.json'].toSorted()
    assert.deepEqual([...tops].toSorted(), wanted)
    assert.deepEqual(
      packed.filter((path) => /\.ts$|secret|password/.test(path)),
      [],
    )
    const needed = [
      'bin/mcp-gateway-maintenance.js',
      'dist/main.js',
      'dist/LICENSE-yaml',
      'config/default.yaml',
      'config/settings.schema.json',
      'migrations/001_initial_schema.sql',
    ]
    for (const path of needed) assert.ok(packed.includes(path), path)
    return Promise.resolve()
  })

  test('contains every file that its documents link to', async () => {
    const documents = (await readDocuments()).filter(({ file }) => packed.includes(file))
    assert.ok(documents.length > 20)
    const missing = documents.flatMap(({ file, prose }) =>
      linksIn(prose)
        .filter((link) => !/^\w+:|^#/.test(link))
        .map((link) => join(dirname(file), link.split('#')[0]!))
        .filter((path) => !packed.some((each) => each === path || each.startsWith(path)))
        .map((path) => `${file}: ${path}`),
    )
    assert.deepEqual(missing, [])
  })

  test('installs into an empty folder where there is no Python and no compiler', () => {
    assert.equal(installed.code, 0, installed.stderr)
    return Promise.resolve()
  })

  test('does its main job from the packed files alone', async () => {
    const done = await run('npx', ['--no-install', 'mcp-gateway-maintenance', '--run-now'], {
      cwd: consumer,
      env: await bareEnvironment(folder, process.execPath),
    })
    assert.equal(done.code, 0, done.stdout + done.stderr)
    assert.equal(done.stdout.match(/"event":"job\.finished"/g)?.length, JOBS.length)
    const database = new BetterSqlite3(join(consumer, 'secure_mcp_gateway.db'), { readonly: true })
    const made = new Set(database.prepare('SELECT name FROM sqlite_schema').pluck().all())
    const gateways = ['tools', 'audit_logs', 'mcp_servers', 'policy_decisions', 'api_keys', 'sessions']
    for (const name of [...gateways, 'recent_audit_activity', 'policy_violations', 'tool_usage_stats']) assert.ok(made.has(name), name)
    database.close()
  })

  test('loads few files of its own for a run, and none for the other engine', async () => {
    const env = { ...(await bareEnvironment(folder, process.execPath)), ...TELLING_LOADS }
    const { stderr } = succeeded(await run(process.execPath, [launcher(), '--run-now'], { cwd: consumer, env }))
    const loaded = loadedBy(stderr).flatMap((address) => /\/dist\/(.*?)(?:-[\w-]{8})?\.js$/.exec(address)?.[1] ?? [])
    assert.ok(loaded.includes('sqlite'), stderr)
    assert.ok(!loaded.includes('postgres'), stderr)
    assert.ok(loaded.length <= 10, loaded.join(' '))
  })

  test('says in one line what is wrong when it was packed without a build', async () => {
    const dist = join(dirname(launcher()), '../dist')
    await rename(dist, `${dist}-away`)
    const done = await run(process.execPath, [launcher(), '--version'], { cwd: consumer })
    await rename(`${dist}-away`, dist)
    assert.deepEqual({ code: done.code, stdout: done.stdout }, { code: 2, stdout: '' })
    assert.match(done.stderr, /^mcp-gateway-maintenance: dist\/ is missing[^\n]*nothing was done\n$/)
  })

  it('says in one line that an older Node will not do, before better-sqlite3 is loaded', async (context) => {
    if (unreachable !== undefined) return context.skip(unreachable)
    // npm names the Node that it runs on itself: `node` on the PATH that it makes for scripts is the checkout's own.
    const machines = process.env['npm_node_execpath'] ?? 'node'
    const { stdout: version } = await run(machines, ['--version'], { cwd: consumer })
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version)!.map(Number)
    if (major! > 22 || (major === 22 && minor! >= 18)) return context.skip(`the machine's own node is ${version.trim()}`)
    const done = await run(machines, [launcher(), '--run-now'], { cwd: consumer })
    assert.deepEqual({ code: done.code, stdout: done.stdout }, { code: 2, stdout: '' })
    assert.match(done.stderr, /mcp-gateway-maintenance: Node 22\.18 or newer is needed, this is \d+\.\d+\.\d+; nothing was done\n$/)
  })
})

function succeeded(done: Done): Done {
  assert.equal(done.code, 0, done.stdout + done.stderr)
  return done
}

/** A PATH with npm, a shell and Node, and nothing that could build a native module. */
async function bareEnvironment(folder: string, node = found('node')): Promise<NodeJS.ProcessEnv> {
  const tools = await mkdtemp(join(folder, 'path-'))
  for (const [name, target] of Object.entries({ node, npm: found('npm'), npx: found('npx'), sh: found('sh'), env: found('env') }))
    await symlink(target, join(tools, name))
  return { ...packagingEnvironment(), PATH: tools }
}

function found(name: string): string {
  for (const folder of PATH) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue
    }
  }
  throw new Error(`${name} is not on the PATH`)
}
