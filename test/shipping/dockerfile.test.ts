import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, copyFile, lstat, mkdtemp, readFile, readlink, rm, stat, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { NODE_OPTIONS } from '../../bench/processes/node-options.ts'
import { JOBS } from '../../src/catalogue.ts'
import { CHECKOUT, filesBelow, run, type Done } from './checkout.ts'
import { execForm, readDockerfile, readDockerignore } from './dockerfile.ts'
import { buildImage, OutOfReach, type Image } from './image.ts'

const SOMEBODY_ELSE = 65_534
const uid = process.getuid?.() === 0 ? SOMEBODY_ELSE : undefined

describe('the Dockerfile', () => {
  it('is based on the slim image of the Node that the checkout locks, pinned by version, and by digest if the builder gives one', async () => {
    const text = await readFile(`${CHECKOUT}Dockerfile`, 'utf8')
    const [first] = readDockerfile(text)
    const locked: { version: string } = JSON.parse(await readFile(`${CHECKOUT}tools/node24/package.json`, 'utf8'))
    const image = `node:${locked.version}-bookworm-slim`
    assert.equal(first!.from, image)
    assert.match(text, new RegExp(`^#   docker build --build-arg NODE_IMAGE=${image}@sha256:… -t mcp-gateway-maintenance \\.$`, 'm'))
    assert.equal(readDockerfile(text.replace(/^(ARG NODE_IMAGE=).*$/m, '$1other@sha256:0'))[0]!.from, 'other@sha256:0')
  })

  it('lets nothing into the build that it does not use', async () => {
    const ignored = readDockerignore(await readFile(`${CHECKOUT}.dockerignore`, 'utf8'))
    const out = [
      '.env',
      '.git/config',
      'node_modules/pg/package.json',
      'tools/node24/node_modules/x',
      'test/a.test.ts',
      'deploy/compose/x',
      'gateway.db',
    ]
    assert.deepEqual(
      out.filter((path) => !ignored(path)),
      [],
    )
    const kept = ['.npmrc', 'package-lock.json', 'src/main.ts', 'src/database/url.ts', 'tools/build.ts', 'bin/mcp-gateway-maintenance.js']
    assert.deepEqual(kept.filter(ignored), [])
  })
})

describe('the image', () => {
  let folder = ''
  let image: Image
  let unreachable: string | undefined

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'maintenance-image-'))
    await chmod(folder, 0o755)
    try {
      image = await buildImage(folder)
      // The user's own copy: another user may not be allowed to read the checkout's.
      await copyFile(process.execPath, join(folder, 'node'))
      await run('chmod', ['-R', 'a-w', image.root], { cwd: folder })
    } catch (error) {
      if (!(error instanceof OutOfReach)) throw error
      unreachable = error.message
    }
  })

  after(async () => {
    await run('chmod', ['-R', 'u+w', folder], { cwd: '/' })
    await rm(folder, { recursive: true, force: true })
  })

  const test = (name: string, body: () => Promise<void>): void =>
    void it(name, async (context) => (unreachable === undefined ? await body() : context.skip(unreachable)))

  const instruction = (name: string): string => image.instructions.findLast((each) => each.name === name)?.text ?? ''

  /** A folder for the user that the program runs as. */
  const place = async (): Promise<string> => {
    const made = await mkdtemp(join(folder, 'data-'))
    if (uid !== undefined) await chown(made, uid, uid)
    return made
  }

  /** ENTRYPOINT, with its paths below the folder that stands for `/`. */
  const entrypoint = (): readonly [string, readonly string[]] => {
    const [node, ...words] = execForm(instruction('ENTRYPOINT')) ?? []
    assert.equal(node, 'node')
    return [join(folder, 'node'), words.map((word) => (word.startsWith('/') ? join(image.root, word) : word))]
  }

  const start = (words: readonly string[], cwd: string): Promise<Done> => {
    const [node, first] = entrypoint()
    return run(node, [...first, ...words], { cwd, env: { NODE_OPTIONS }, uid })
  }

  test('contains compiled code, production packages and nothing else', async () => {
    const files = await filesBelow(join(image.root, 'app'))
    const tops = new Set(files.map((file) => file.split('/')[0]!))
    assert.deepEqual([...tops].toSorted(), ['bin', 'config', 'dist', 'migrations', 'node_modules', 'package.json'])
    assert.deepEqual(
      files.filter((file) => !file.startsWith('node_modules/') && /\.ts$|\.map$|\.test\./.test(file)),
      [],
    )
    const lock: { packages: Record<string, { dev?: boolean }> } = JSON.parse(await readFile(`${CHECKOUT}package-lock.json`, 'utf8'))
    const unwanted = Object.keys(lock.packages).filter((path) => lock.packages[path]!.dev === true)
    assert.ok(unwanted.length > 10)
    assert.deepEqual(
      files.filter((file) => unwanted.some((path) => file.startsWith(`${path}/`))),
      [],
    )
    for (const file of files) {
      const path = join(image.root, 'app', file)
      if ((await lstat(path)).isSymbolicLink()) await stat(join(dirname(path), await readlink(path)))
    }
  })

  test('keeps the SQLite binaries of both Linux architectures and of no other system', async () => {
    const binaries = await filesBelow(join(image.root, 'app/node_modules/better-sqlite3/prebuilds'))
    assert.deepEqual(binaries, ['linux-arm64.node', 'linux-x64.node'])
  })

  test('can be read by any user, and written only by root', async () => {
    for (const file of await filesBelow(join(image.root, 'app'), (path) => path === 'node_modules')) {
      const { mode } = await stat(join(image.root, 'app', file))
      assert.equal(mode & 0o044, 0o044, file)
      assert.equal(mode & 0o022, 0, file)
    }
  })

  test('runs as an ordinary user by number, in exec form, with a health file on /tmp and no secret', () => {
    assert.match(instruction('USER'), /^[1-9]\d*:[1-9]\d*$/)
    assert.notEqual(execForm(instruction('ENTRYPOINT')), undefined)
    assert.deepEqual(image.env, { HEALTH_FILE: '/tmp/alive', NODE_OPTIONS })
    return Promise.resolve()
  })

  test('prints its version from files that nobody can write to', async () => {
    const { version }: { version: string } = JSON.parse(await readFile(`${CHECKOUT}package.json`, 'utf8'))
    assert.deepEqual(await start(['--version'], await place()), { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('runs every job once on the default database in its working directory', async () => {
    const data = await place()
    const done = await start(['--run-now'], data)
    assert.equal(done.code, 0, done.stdout + done.stderr)
    assert.equal(done.stdout.match(/"event":"job\.finished"/g)?.length, JOBS.length)
    assert.ok((await stat(join(data, 'secure_mcp_gateway.db'))).size > 0)
  })

  test('is healthy while the worker runs, and stops in order on SIGTERM', async () => {
    const data = await place()
    const alive = join(data, 'alive')
    const [node, words] = entrypoint()
    const worker = spawn(node, words, { cwd: data, env: { HEALTH_FILE: alive }, ...(uid === undefined ? {} : { uid, gid: uid }) })
    const deadline = setTimeout(() => worker.kill('SIGKILL'), 100_000)
    let log = ''
    worker.stdout.setEncoding('utf8').on('data', (text: string) => (log += text))
    const closed = once(worker, 'close')
    while ((await health(alive)) !== 0) assert.equal(worker.exitCode ?? worker.signalCode, null, log)
    await utimes(alive, new Date(0), new Date(0))
    assert.equal(await health(alive), 1, 'a file that has not been touched for long')
    worker.kill('SIGTERM')
    const [code] = await closed
    clearTimeout(deadline)
    assert.equal(code, 0, log)
    assert.match(log.trim().split('\n').at(-1)!, /"event":"worker\.stopped".*"reason":"SIGTERM"/)
  })

  test('is unhealthy if the worker never wrote its file', async () => {
    assert.equal(await health(join(await place(), 'alive')), 1)
  })

  const health = async (file: string): Promise<number | undefined> => {
    const [, command = ''] = /\bCMD (.*)$/.exec(instruction('HEALTHCHECK')) ?? []
    assert.doesNotMatch(command, /\bnode\b/)
    return (await run('sh', ['-c', command], { cwd: '/', env: { PATH: process.env['PATH'], HEALTH_FILE: file }, uid })).code
  }
})
