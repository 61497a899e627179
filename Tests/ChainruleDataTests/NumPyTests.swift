import Foundation
import TestSupport
import Testing

@testable import ChainruleData

/// Files of NumPy: Tests/Fixtures/npy/npy.json, written by generate.py beside it.
struct NumPyFiles: Decodable {
  struct File: Decodable {
    let name: String
    let hex: String
    let shape: [Int]?
    let values: [String]?
    let labels: [String]?

    var bytes: [UInt8] { decoded(hex: hex) }
  }
  let accepted: [File]
  let labels: [File]
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
    #expect(
      complaint { try others.arrays() }.contains(
        "no two arrays have usual names of features and targets, such as x and y; the arrays are x, q"))
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
    #expect(found.hasPrefix("array \"x\" in a.npz: the c"), "\(found)")
    #expect(complaint { try NumPyArchive(bytes: Array("PK".utf8)) }.contains("no directory at its end"))
    #expect(complaint { try NumPyArchive(bytes: [1, 2, 3]) }.contains("this is not an .npz archive"))
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
    #expect(complaint { try NumPyArray(bytes: npy("(-1, 4)")) }.contains("not an integer of at least 0"))
  }

  @Test func `labels are the text that NumPy has, and whole numbers exactly`() throws {
    /// Equal only where every scalar is, unlike strings, which are equal where they are canonically
    /// equivalent.
    func scalars(_ texts: [String]) -> [[UInt32]] { texts.map { $0.unicodeScalars.map(\.value) } }
    let files = try NumPyFiles.read().labels
    #expect(files.count == 10)
    for file in files {
      let array = try NumPyArray(bytes: file.bytes)
      #expect(try scalars(array.labels()) == scalars(try #require(file.labels)), "\(file.name)")
    }
  }

  @Test func `no beginning of an array of text is a crash, and none is taken`() throws {
    for file in try NumPyFiles.read().labels {
      for count in file.bytes.indices {
        #expect(throws: ChainruleError.self) { try NumPyArray(bytes: Array(file.bytes[..<count])) }
      }
    }
  }

  private func npy(_ type: String, _ shape: String, _ elements: [UInt8], file: String? = nil) throws
    -> NumPyArray
  {
    let header = Array("{'descr': '\(type)', 'fortran_order': False, 'shape': \(shape), }\n".utf8)
    return try NumPyArray(
      bytes: [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header + elements, file: file)
  }

  @Test func `text and booleans are classes`() throws {
    let x = try npy("|u1", "(4,)", [1, 2, 3, 4])
    let words = try npy("|S2", "(4,)", Array("01b\0a\0b\0".utf8), file: "y.npy")
    for task in [CSVOptions.LearningTask.automatic, .classification] {
      let data = try Dataset<Float>(features: x, targets: words, task: task)
      #expect(data.classLabels == ["01", "a", "b"] && data.labels == [0, 2, 1, 2])
      let booleans = try Dataset<Float>(features: x, targets: npy("|b1", "(4,)", [1, 1, 1, 1]), task: task)
      #expect(booleans.classLabels == ["0", "1"] && booleans.labels == [1, 1, 1, 1])
    }
    #expect(
      complaint { try Dataset<Float>(features: x, targets: words, task: .regression) }
        == "y.npy: the targets are text; a regression predicts numbers. Convert them, as with arr.astype('float64'), or "
        + "use the task classification")
    #expect(
      complaint { try Dataset<Float>(features: x, targets: words, task: .multilabel) }
        .hasPrefix("y.npy: the targets are text; multilabel targets are 0 and 1."))
    #expect(
      complaint { try Dataset<Float>(features: words, targets: x) }
        .hasPrefix("y.npy: the elements are text; expected numbers. Only class labels may be text"))
    #expect(complaint { try Dataset<Float>(table: words) }.hasPrefix("y.npy: "))
    let two = try npy("|S1", "(4, 2)", Array("abcdefgh".utf8), file: "y.npy")
    #expect(
      complaint { try Dataset<Float>(features: x, targets: two) }
        == "y.npy: the targets are 2 columns of text; expected 1 of class labels")
    let latin = try npy("|S1", "(2,)", [0x61, 0xE9], file: "y.npy")
    #expect(
      complaint { try latin.labels() }.hasPrefix(
        "y.npy: the text of row 2 is not UTF-8; save numpy.char.decode"))
    let surrogate = try npy("<U1", "(2,)", [0x61, 0, 0, 0, 0, 0xD8, 0, 0], file: "y.npy")
    #expect(complaint { try surrogate.labels() } == "y.npy: the text of row 2 is not Unicode")
    for type in ["<U0", "|S0", "<U", "<U-1", "<U99999", "<U99999999999999999999"] {
      let found = complaint { try npy(type, "(1000000000000,)", []) }
      #expect(
        found.contains("the element type is '\(type)'; expected a text of 1 to 65536 characters"), "\(found)")
    }
  }

  @Test func `multilabel targets are 0 or 1, in one column or several`() throws {
    let x = try npy("|u1", "(3,)", [1, 2, 3])
    for type in ["|u1", "|b1"] {
      let several = try Dataset<Float>(
        features: x, targets: npy(type, "(3, 2)", [0, 0, 1, 1, 0, 1]), task: .multilabel)
      #expect(several.targets == [0, 0, 1, 1, 0, 1] && several.classLabels == nil && several.outputs == 2)
      let single = try Dataset<Float>(features: x, targets: npy(type, "(3,)", [0, 1, 1]), task: .multilabel)
      #expect(single.targets == [0, 1, 1] && single.classLabels == nil)
    }
    #expect(
      complaint {
        try Dataset<Float>(
          features: x, targets: npy("|u1", "(3, 2)", [0, 0, 1, 2, 3, 1], file: "y.npy"), task: .multilabel)
      }
        == "y.npy: row 2, target 2 is 2.0; the task multilabel needs 0 or 1 in every target")
    #expect(
      complaint {
        try Dataset<Float>(features: x, targets: npy("|i1", "(3,)", [0, 1, 255]), task: .multilabel)
      }
        == "row 3 is -1.0; the task multilabel needs 0 or 1 in every target")
    let fann = try FANNFile(bytes: Array("2 1 2\n5\n1 1\n6\n0 0.5\n".utf8), file: "m.data")
    #expect(
      complaint { try Dataset<Float>(fann: fann, task: .multilabel) }
        == "m.data: row 2, target 2 is 0.5; the task multilabel needs 0 or 1 in every target")
    let good = try FANNFile(bytes: Array("2 1 2\n5\n1 1\n6\n0 1\n".utf8))
    #expect(try Dataset<Float>(fann: good, task: .multilabel).targets == [1, 1, 0, 1])
    #expect(
      complaint { try Dataset<Float>(fann: good, task: .classification) }
        .hasPrefix("row 1 does not have a single 1 and zeros in its 2 target columns, as classes need."))
    let large = try FANNFile(bytes: Array("1 1 1\n5\n1e300\n".utf8), file: "l.data")
    #expect(
      complaint { try Dataset<Float>(fann: large) }
        == "l.data: row 1 is 1e+300; expected a finite number of float32")
  }

  @Test(arguments: [
    ("x y", "x y"), ("X y", "X y"), ("y X", "X y"), ("x_train y_train x_test y_test", "x_train y_train"),
    ("X_Train Y_Train", "X_Train Y_Train"), ("inputs outputs", "inputs outputs"),
    ("Input Output", "Input Output"),
    ("train_images train_labels test_images test_labels", "train_images train_labels"),
    ("data target", "data target"),
    ("features labels", "features labels"), ("images labels", "images labels"),
    ("INPUTS TARGETS", "INPUTS TARGETS"),
    ("arr_0 arr_1", "arr_0 arr_1"), ("x y extra", "x y"), ("train_x train_y", "train_x train_y"),
    ("data label", "data label"), ("features target weights", "features target"),
    // Ambiguous, or unknown.
    ("x y X", "the features and the targets may be any of x and y, X and y; the arrays are x, y, X. Name"),
    (
      "x y x_train y_train",
      "may be any of x and y, x_train and y_train; the arrays are x, y, x_train, y_train. Name"
    ),
    ("features labels target", "may be any of features and target, features and labels; the arrays are"),
    (
      "a b",
      "no two arrays have usual names of features and targets, such as x and y; the arrays are a, b. Name"
    ),
    ("x y2 z", "no two arrays have usual names"),
  ])
  func `pairs of usual names are found in capitals or not, and two pairs are an error`(
    names: String, found: String
  ) throws {
    let names = names.split(separator: " ").map(String.init)
    let archive = try NumPyArchive(bytes: zip(names.map { $0 + ".npy" }), file: "a.npz")
    #expect(archive.names == names)
    // Each array has its place as its number of rows.
    let pair = Result { try archive.arrays() }.map { pair in
      [pair.features, pair.targets].compactMap { $0.map { names[$0.dimensions[0] - 1] } }.joined(
        separator: " ")
    }
    switch pair {
    case .success(let pair): #expect(pair == found)
    case .failure(let error):
      #expect("\(error)".hasPrefix("a.npz: ") && "\(error)".contains(found), "\(error)")
    }
  }

  @Test func `named arrays decide, and a name of one finds the other`() throws {
    func archive(_ names: String) throws -> NumPyArchive {
      try NumPyArchive(bytes: zip(names.split(separator: " ").map { "\($0).npy" }), file: "a.npz")
    }
    let several = try archive("features labels target")
    #expect(try several.arrays(targets: "target").features.dimensions == [1])
    #expect(try several.arrays(targets: "target").targets?.dimensions == [3])
    #expect(try several.arrays(needsTargets: false).features.dimensions == [1])
    #expect(
      try archive("x_test y_test x_train y_train").arrays(needsTargets: false).features.dimensions == [3])
    #expect(
      complaint { try archive("a b c").arrays(features: "a") }.hasPrefix(
        "a.npz: any other array may be the targets;"))
    #expect(
      complaint { try archive("a b c").arrays(needsTargets: false) }.contains(
        "no two arrays have usual names"))
    #expect(
      complaint { try archive("x y X").arrays(needsTargets: false) }.contains(
        "may be any of x and y, X and y"))
    #expect(
      complaint { try archive("x y").arrays(features: "x", targets: "z") }
        == "a.npz: there is no array \"z\"; the arrays are x, y")
    #expect(
      complaint { try archive("x y").arrays(features: "x", targets: "x") }
        == "a.npz: \"x\" is named for both the features and the targets")
    // Members that are not arrays do not count; where there are only such, they are named as they are called.
    let mixed = try NumPyArchive(bytes: zip(["readme.txt", "x.npy", "q.npy"]))
    #expect(mixed.names == ["x", "q"])
    let none = try NumPyArchive(bytes: zip(["bomb.csv"], contents: Array("a,b\n1,2\n".utf8)), file: "a.npz")
    #expect(
      complaint { try none.arrays() }
        == "array \"bomb.csv\" in a.npz: this is not a .npy file, which begins with the byte 0x93 and NUMPY")
  }

  @Test func `text targets in an archive are classes`() throws {
    let archive = try NumPyArchive(bytes: NumPyFiles.archive("text targets"))
    #expect(archive.names == ["Inputs", "OUTPUTS"])
    let (x, y) = try archive.arrays()
    let data = try Dataset<Float>(features: x, targets: try #require(y))
    #expect(data.inputs == 2 && data.classLabels == ["01", "a", "b"] && data.labels == [2, 1, 0, 2])
  }

  @Test func `an array that unpacks beyond the bound is refused by the size in the directory`() throws {
    var bytes = try NumPyFiles.archive("deflated")
    let entry = try #require(bytes.indices.first { bytes[$0...].starts(with: Array("PK\u{1}\u{2}".utf8)) })
    bytes.replaceSubrange(entry + 24..<entry + 28, with: [0, 0, 0, 0x80])
    let archive = try NumPyArchive(bytes: bytes, file: "a.npz")
    let found = complaint { try archive.array("x") }
    #expect(
      found.hasPrefix(
        "array \"x\" in a.npz: unpacked, the array has 2147483648 bytes; at most 1073741824 are unpacked into memory, the "
          + "greater of 1 GiB and 100 times its "), "\(found)")
    #expect(found.hasSuffix("save it with numpy.savez, which does not compress"), "\(found)")
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

/// A zip archive of these members, stored. Without `contents` each is an .npy array of bytes, of as many rows
/// as its place, from 1.
private func zip(_ names: [String], contents: [UInt8]? = nil) -> [UInt8] {
  func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 255) } }
  var (bytes, directory): ([UInt8], [UInt8]) = ([], [])
  for (place, name) in names.enumerated() {
    let header = Array("{'descr': '|u1', 'fortran_order': False, 'shape': (\(place + 1),), }\n".utf8)
    let array =
      [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
      + [UInt8](repeating: 1, count: place + 1)
    let member = contents ?? array
    let sizes = little(Int(crc32(of: member)), 4) + little(member.count, 4) + little(member.count, 4)
    let common = little(0, 8) + sizes + little(name.utf8.count, 2) + little(0, 2)
    directory +=
      little(0x0201_4B50, 4) + little(20, 2) + little(20, 2) + common + little(0, 10) + little(bytes.count, 4)
      + Array(name.utf8)
    bytes += little(0x0403_4B50, 4) + little(20, 2) + common + Array(name.utf8) + member
  }
  let end = little(0x0605_4B50, 4) + little(0, 4) + little(names.count, 2) + little(names.count, 2)
  return bytes + directory + end + little(directory.count, 4) + little(bytes.count, 4) + little(0, 2)
}
