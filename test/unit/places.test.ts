import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Places } from '../../src/log/embedded/places.ts'

it('places that are found again and again take no more memory, and the newest of an offset comes first', () => {
  const places = new Places()
  for (let round = 0; round < 1000; round++) {
    for (let offset = 0; offset < 100; offset++) {
      // One that lies on pages of its own, and one that each newer page has again.
      places.add({ offset, position: offset * 4096, length: 3000, transaction: round, pages: 1 })
      places.add({ offset: 100 + offset, position: round, length: 10, transaction: round, pages: 0 })
    }
    assert.ok(places.count <= 1024)
  }
  places.tidy()
  assert.equal(places.count, 200)
  for (let index = 0; index < 200; index++) {
    assert.equal(places.at(index).offset, index)
    assert.equal(places.at(index).transaction, 999)
  }
})

it('two records under one offset are both kept, the newer one first', () => {
  const places = new Places()
  places.add({ offset: 5, position: 8192, length: 3000, transaction: 7, pages: 1 })
  places.add({ offset: 5, position: 4096, length: 3000, transaction: 9, pages: 1 })
  places.add({ offset: 4, position: 12_288, length: 3000, transaction: 1, pages: 1 })
  places.tidy()
  assert.deepEqual(
    [0, 1, 2].map(index => places.at(index).position),
    [12_288, 4096, 8192],
  )
})
