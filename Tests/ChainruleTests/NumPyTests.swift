import Foundation
import TestSupport
import Testing

@testable import Chainrule

/// Files of NumPy: Tests/Fixtures/npy/npy.json, written by generate.py beside it.
struct NumPyFiles: Decodable {
  struct File: Decodable {
    let name: String
    let hex: String
    let shape: [Int]?
    let values: [String]?

    var bytes: [UInt8] { decoded(hex: hex) }
  }
  let accepted: [File]
  let refused: [File]
  let archives: [File]

  static func read() throws -> NumPyFiles {
    try JSONDecoder().decode(
      NumPyFiles.self, from: Data(contentsOf: fixtures.appending(path: "npy/npy.json")))
  }

  static func archive(_ name: String) throws -> [UInt8] {
    try #require(try read().archives.first { $0.name == name }).bytes
  }
}

@Suite("NumPy")
struct NumPyTests {
  @Test func `arrays have the numbers that NumPy has, in either order of the elements`() throws {
    for file in try NumPyFiles.read().accepted {
      let array = try NumPyArray(bytes: file.bytes)
      #expect(array.dimensions == file.shape)
      let values = try #require(file.values).map { try #require(Double($0)) }
      #expect(try array.values(as: Double.self).map(\.bitPattern) == values.map(\.bitPattern), "\(file.name)")
    }
  }

  @Test func `no beginning of an array or an archive is a crash, and none is taken`() throws {
    let files = try NumPyFiles.read()
    for file in files.accepted {
      for count in file.bytes.indices {
        #expect(throws: ChainruleError.self) { try NumPyArray(bytes: Array(file.bytes[..<count])) }
      }
    }
    for file in files.archives {
      for count in file.bytes.indices {
        #expect(throws: ChainruleError.self) { try NumPyArchive(bytes: Array(file.bytes[..<count])) }
      }
    }
  }

  @Test(arguments: ["stored", "deflated", "stored with zip64", "deflated with zip64"])
  func `archives have the arrays that NumPy has saved`(name: String) throws {
    let archive = try NumPyArchive(bytes: NumPyFiles.archive(name))
    #expect(archive.names == ["x", "y"])
    #expect(try archive.array("x").dimensions == [3, 2])
    #expect(try archive.array("x").values(as: Double.self) == [0, 1, 2, 3, 4, 5])
    #expect(try archive.array("y").values(as: Double.self) == [0.5, 1.5, -2])
    let (x, y) = try archive.arrays()
    let data = try Dataset<Float>(features: x, targets: try #require(y))
    #expect(
      data.features == [0, 1, 2, 3, 4, 5] && data.targets == [0.5, 1.5, -2] && data.classLabels == nil)
    #expect(complaint { try archive.array("z") } == "there is no array \"z\"; the arrays are x, y")
  }

  @Test func `the arrays of features and targets are found by their usual names, or named`() throws {
    let unnamed = try NumPyArchive(bytes: NumPyFiles.archive("without names"))
    #expect(unnamed.names == ["arr_0", "arr_1"])
    let (x, y) = try unnamed.arrays()
    #expect(x.dimensions == [3, 2] && y?.dimensions == [3])
    #expect(try unnamed.arrays(targets: "arr_0").features.dimensions == [3])
    #expect(try unnamed.arrays(features: "arr_1").targets?.dimensions == [3, 2])
    #expect(try unnamed.arrays(needsTargets: false).targets == nil)
    #expect(complaint { try unnamed.arrays(features: "arr_0", targets: "arr_0") }.contains("both"))
    #expect(complaint { try unnamed.arrays(features: "p", targets: "arr_0") }.contains("no array \"p\""))
    let others = try NumPyArchive(bytes: NumPyFiles.archive("stored").replacing("y.npy", by: "q.npy"))
    #expect(complaint { try others.arrays() }.contains("any of the arrays x, q may be the features"))
    #expect(try others.arrays(targets: "q").features.dimensions == [3, 2])
  }

  @Test func `every damage to an archive is noticed`() throws {
    for name in ["stored", "deflated", "stored with zip64", "deflated with zip64"] {
      let bytes = try NumPyFiles.archive(name)
      let good = try NumPyArchive(bytes: bytes)
      let values = try good.names.map { try good.array($0).values(as: Double.self) }
      for place in bytes.indices {
        for bit in [1, 0x80] as [UInt8] {
          var damaged = bytes
          damaged[place] ^= bit
          // Times, versions and attributes are of no weight; every number is as it was, or there is an error.
          guard let archive = try? NumPyArchive(bytes: damaged) else { continue }
          for (name, values) in zip(good.names, values) where archive.names.contains(name) {
            if let array = try? archive.array(name), let found = try? array.values(as: Double.self) {
              #expect(found == values, "\(place)")
            }
          }
        }
      }
    }
    let bytes = try NumPyFiles.archive("deflated")
    var damaged = bytes
    damaged[60] ^= 1
    let found = complaint { try NumPyArchive(bytes: damaged, file: "a.npz").array("x") }
    #expect(found.hasPrefix("a.npz, x.npy: "), "\(found)")
    #expect(complaint { try NumPyArchive(bytes: Array("PK".utf8)) }.contains("no directory at its end"))
    #expect(complaint { try NumPyArchive(bytes: [1, 2, 3]) }.contains("this is no .npz archive"))
  }

  @Test func `dimensions whose product overflows are refused`() {
    func npy(_ shape: String) -> [UInt8] {
      let header = Array("{'descr': '<f8', 'fortran_order': True, 'shape': \(shape), }\n".utf8)
      return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
    }
    for shape in [
      "(4611686018427387904, 4)", "(9223372036854775807,)", "(1152921504606846975, 1)",
      "(3037000500, 3037000500, 3037000500)",
    ] {
      let found = complaint { try NumPyArray(bytes: npy(shape)) }
      #expect(found.contains("too large") || found.contains("got 0"), "\(found)")
    }
    #expect(complaint { try NumPyArray(bytes: npy("(-1, 4)")) }.contains("no integer of at least 0"))
  }

  @Test func `targets are classes or quantities as a column of CSV would be`() throws {
    func array(_ values: [Float], columns: Int = 1) throws -> NumPyArray {
      let shape = columns == 1 ? "(\(values.count),)" : "(\(values.count / columns), \(columns))"
      let header = Array("{'descr': '<f4', 'fortran_order': False, 'shape': \(shape), }\n".utf8)
      return try NumPyArray(
        bytes: [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
          + values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
    }
    let x = try array([1, 2, 3, 4])
    #expect(try Dataset<Float>(features: x, targets: array([0, 1, 1, 0])).classLabels == ["0", "1"])
    #expect(
      try Dataset<Float>(features: x, targets: array([0, 1, 1, 0]), task: .regression).classLabels == nil)
    #expect(try Dataset<Float>(features: x, targets: array([0, 1, 2, 3])).classLabels == nil)
    #expect(
      try Dataset<Float>(features: x, targets: array([0, 1, 2, 10]), task: .classification).classLabels
        == ["0", "1", "2", "10"])
    let hot = try array([0, 1, 1, 0, 1, 0, 0, 1], columns: 2)
    #expect(try Dataset<Float>(features: x, targets: hot).classLabels == nil)
    #expect(try Dataset<Float>(features: x, targets: hot, task: .classification).labels == [1, 0, 0, 1])
    let two = try array([0, 1, 1, 1, 1, 0, 0, 1], columns: 2)
    #expect(
      complaint { try Dataset<Float>(features: x, targets: two, task: .classification) }.contains("row 2"))
    #expect(
      complaint { try Dataset<Float>(features: array([1, 2]), targets: x) }.contains(
        "4 rows of targets for 2"))

    let table = try array([1, 2, 0.5, 3, 4, 1.5], columns: 3)
    let data = try Dataset<Float>(table: table)
    #expect(data.features == [1, 2, 3, 4] && data.targets == [0.5, 1.5])
    let first = try Dataset<Double>(table: table, targets: [3, 1])
    #expect(first.features == [2, 4] && first.targets == [0.5, 1, 1.5, 3])
    for targets in [[0], [4], [1, 1], [1, 2, 3]] {
      #expect(throws: ChainruleError.self) { try Dataset<Float>(table: table, targets: targets) }
    }
    #expect(throws: ChainruleError.self) { try Dataset<Float>(table: x) }
  }
}

extension [UInt8] {
  fileprivate func replacing(_ text: String, by other: String) -> [UInt8] {
    var bytes = self
    let (old, new) = (Array(text.utf8), Array(other.utf8))
    for place in 0...(count - old.count) where Array(bytes[place..<place + old.count]) == old {
      bytes.replaceSubrange(place..<place + old.count, with: new)
    }
    return bytes
  }
}
