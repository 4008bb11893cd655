import { GetObjectCommand } from '@aws-sdk/client-s3'
import { createReadStream } from 'node:fs'
import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { keysOf } from '../../test/object-storage/support.ts'
import { clientOf } from '../../test/support/s3/client.ts'
import { ACCOUNT } from '../../test/support/s3/server.ts'
import type { Keeping, ObjectStore } from '../processes/contender.ts'

const ROWS = '.ndjson.zst'
const LINE_FEED = 10

/** The rows that a purge has kept: lines, whatever manifests say of them. */
export async function keptRows(keeping: Keeping): Promise<number> {
  switch (keeping.keeps) {
    case 'in a folder':
      return await rowsInFolder(keeping.directory)
    case 'in a bucket':
      return await rowsInBucket(keeping.store)
    case 'by hand':
      return await linesIn(createReadStream(keeping.file))
    default:
      return keeping satisfies never
  }
}

async function rowsInFolder(directory: string): Promise<number> {
  let rows = 0
  for await (const name of glob(`**/*${ROWS}`, { cwd: directory })) rows += await linesIn(createReadStream(join(directory, name)))
  return rows
}

async function rowsInBucket({ url, region, bucket }: ObjectStore): Promise<number> {
  const client = clientOf({ url, region, account: ACCOUNT })
  let rows = 0
  for (const key of await keysOf(client, { Bucket: bucket })) {
    if (!key.endsWith(ROWS)) continue
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    if (Body instanceof Readable) rows += await linesIn(Body)
  }
  client.destroy()
  return rows
}

async function linesIn(compressed: Readable): Promise<number> {
  let lines = 0
  for await (const chunk of compressed.compose(createZstdDecompress()) as AsyncIterable<Buffer>)
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lines += 1
  return lines
}
