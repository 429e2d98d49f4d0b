import { it } from 'node:test'
import { fuzz } from '../support/demux-fuzz.ts'

it('a damaged container gives frames, or an error with one of three codes, however it is cut', () =>
  fuzz(400))
