import { describe } from 'node:test'
import { storeContract } from './store-contract.ts'
import { STORE_KINDS } from './store-places.ts'

for (const kind of STORE_KINDS) describe(`${kind.name} as a store`, () => storeContract(kind))
