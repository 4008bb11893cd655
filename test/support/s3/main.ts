import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { passingFaults, type FaultRule } from './faults.ts'
import { S3Server } from './server.ts'

/**
 * The object store of the tests as a program, for whoever starts workers by hand or from a shell:
 *
 *     sh tools/node24/run test/support/s3/main.ts --bucket archive --seed 7 --share 0.05 --plan rules.json
 *
 * It writes a JSON object with its address and credentials, and ends with its standard input.
 */
const { values } = parseArgs({
  options: {
    bucket: { type: 'string', multiple: true, default: ['archive'] },
    port: { type: 'string', default: '0' },
    'page-size': { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    // How often each fault that passes by itself happens.
    share: { type: 'string', default: '0' },
    // A file with a JSON array of `FaultRule`.
    plan: { type: 'string' },
    'unsigned-payload': { type: 'boolean', default: false },
  },
})
const planned: readonly FaultRule[] = values.plan === undefined ? [] : JSON.parse(readFileSync(values.plan, 'utf8'))
const share = Number(values.share)
await using server = await S3Server.start({
  buckets: Object.fromEntries(values.bucket.map((name) => [name, {}])),
  port: Number(values.port),
  pageSize: Number(values['page-size']),
  seed: Number(values.seed),
  faults: [...planned, ...(share > 0 ? passingFaults(share) : [])],
  unsignedPayload: values['unsigned-payload'],
})
process.stdout.write(`${JSON.stringify({ url: server.url, region: server.region, env: server.env })}\n`)
for await (const _ of process.stdin);
