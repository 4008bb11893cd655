import assert from 'node:assert/strict'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSettings, type Settings } from '../../src/config/load.ts'
import { encryptions } from '../../src/database/postgres/connection/tls.ts'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { messageOf } from '../../src/errors.ts'
import { MOST_GIVEN_BYTES, readGiven } from '../../src/files.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { freshPlace, hugeFile, NO_FILES, socketAt } from '../support/unusual-files.ts'

const PACKAGE_ROOT = join(import.meta.dirname, '../..')

function load(workingDirectory: string, env: Readonly<Record<string, string>>, configFile?: string): Promise<Settings> {
  return loadSettings({ packageRoot: PACKAGE_ROOT, workingDirectory, env, configFile })
}

function encryptionsOf(text: string): unknown {
  const url = parseDatabaseUrl(text)
  assert.ok(url.engine === 'postgres')
  return encryptions(url.tls, url.servers[0]!)
}

/** Each way in which an operator names a file, and what is said where it cannot be read. */
const READERS: readonly (readonly [name: string, read: (folder: string, file: string) => unknown, says: RegExp])[] = [
  ['--config', (folder, file) => load(folder, {}, file), /^given: the configuration file cannot be read: .*given/],
  ['MAINTENANCE_CONFIG', (folder, file) => load(folder, { MAINTENANCE_CONFIG: file }), /the configuration file cannot be read: .*given/],
  [
    'DATABASE_URL_FILE',
    (folder, file) => load(folder, { DATABASE_URL_FILE: file }),
    /DATABASE_URL_FILE\): the file cannot be read: .*given/,
  ],
  [
    'sslrootcert',
    (folder, file) => encryptionsOf(`postgresql://u@h/db?sslmode=verify-full&sslrootcert=${join(folder, file)}`),
    /No connection was made: the file named by sslrootcert, .* cannot be read: .*given/,
  ],
]

for (const [name, read, says] of READERS) {
  test(`${name}: what is no regular file is refused at once, with its name and what it is`, async () => {
    for (const { name: kind, make } of NO_FILES) {
      await using place = await freshPlace()
      await make(join(place.path, 'given'))
      await assert.rejects(
        async () => read(place.path, 'given'),
        (error) => {
          assert.match(messageOf(error), says, kind)
          assert.match(messageOf(error), /is a (?:folder|named pipe|device), and a regular file is needed/)
          return true
        },
      )
    }
  })

  test(`${name}: a socket is refused, and so is a file beyond the bound, before it is read whole`, async () => {
    await using place = await freshPlace()
    await hugeFile(join(place.path, 'given'))
    const before = process.resourceUsage().maxRSS
    await assert.rejects(async () => read(place.path, 'given'), /given has more than 1048576 bytes, the most that is read of it/)
    assert.ok(process.resourceUsage().maxRSS - before < 64 * 1024)
    await using socket = await socketAt(join(place.path, 'socket'))
    await assert.rejects(async () => read(place.path, 'socket'), /is a socket, and a regular file is needed/)
    assert.ok(socket)
  })
}

test('settings and secrets are read through links, as Kubernetes mounts them', async () => {
  await using place = await freshPlace()
  const mount = (name: string): string => join(place.path, name)
  await mkdir(mount('..2026_11_29_04_00_00.1'))
  await writeFile(mount('..2026_11_29_04_00_00.1/config.yaml'), 'log:\n  level: warn\n')
  await writeFile(mount('..2026_11_29_04_00_00.1/url'), 'sqlite:///first.db\n')
  await symlink('..2026_11_29_04_00_00.1', mount('..data'))
  for (const name of ['config.yaml', 'url']) await symlink(`..data/${name}`, mount(name))
  const read = async (): Promise<readonly unknown[]> => {
    const settings = await load(place.path, { DATABASE_URL_FILE: 'url' }, 'config.yaml')
    return [settings.log.level, settings.entries.find(({ key }) => key === 'database.url')?.value]
  }
  assert.deepEqual(await read(), ['warn', 'sqlite:///first.db'])
  // As the kubelet exchanges them.
  await mkdir(mount('..2026_11_29_05_00_00.2'))
  await writeFile(mount('..2026_11_29_05_00_00.2/config.yaml'), 'log:\n  level: error\n')
  await writeFile(mount('..2026_11_29_05_00_00.2/url'), 'sqlite:///second.db\n')
  await symlink('..2026_11_29_05_00_00.2', mount('..data_tmp'))
  await rename(mount('..data_tmp'), mount('..data'))
  assert.deepEqual(await read(), ['error', 'sqlite:///second.db'])
})

test('a file of the largest size is read, one byte more is refused, and an unknown size does not matter', async () => {
  await using place = await freshPlace()
  const file = join(place.path, 'file')
  await writeFile(file, Buffer.alloc(MOST_GIVEN_BYTES, 'a'))
  assert.equal(readGiven(file).length, MOST_GIVEN_BYTES)
  await writeFile(file, Buffer.alloc(MOST_GIVEN_BYTES + 1, 'a'))
  assert.throws(() => readGiven(file), /more than/)
  assert.ok(readGiven('/proc/self/status').length > 100)
})

test('a migration that is not a regular file, or too large, is refused', async () => {
  for (const { name, make } of [...NO_FILES, { name: 'a huge file', make: hugeFile }]) {
    await using place = await freshPlace()
    await mkdir(join(place.path, 'migrations'))
    await make(join(place.path, 'migrations/001_initial_schema.sql'))
    await assert.rejects(readMigrationFiles(place.path), (error) => {
      assert.match(
        messageOf(error),
        /001_initial_schema\.sql cannot be read: .*(?:a regular file is needed|more than 1048576 bytes)/s,
        name,
      )
      return true
    })
  }
})
