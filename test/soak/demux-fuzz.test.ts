import { it } from 'node:test'
import { fuzz } from '../support/demux-fuzz.ts'

it('damaged containers, many of them', () => fuzz(process.env.SOAK === '1' ? 50_000 : 400))
