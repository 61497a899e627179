import Foundation
import TestSupport
import Testing

@testable import Chainrule
@testable import ChainruleData

@Suite struct `The encoding of a table in a model` {
  private func fitted() throws -> TableEncoding {
    let text = "a,c,d,y\n1,u,2024-01-01,p\n,v,2024-01-05,q\n3,,2024-01-02,p\n1700000000,u,2024-01-09,q\n"
    return try TableEncoding.fitting(CSVTable(bytes: Array(text.utf8), options: .anyTable())).encoding
  }

  private func network(inputs: Int) throws -> Network<Float> {
    try Network(inputs: inputs, seed: 1) { Dense(2, activation: .softmax) }
  }

  @Test func `is the same after JSON, and in a saved model`() throws {
    var options = CSVOptions(
      target: ["3"], header: .no, decimal: ",", thousands: ".", categorical: ["2"], missing: .mean)
    options.missingTexts = ["-999"]
    let headerless = "1.234,5;caf\u{E9};1,5\n-999;cafe\u{301};2,5\n3;u;3,5\n"
    let encodings = [
      try fitted(),
      try TableEncoding.fitting(CSVTable(bytes: Array(headerless.utf8), options: options)).encoding,
    ]
    for encoding in encodings {
      let decoded = try JSONDecoder().decode(TableEncoding.self, from: JSONEncoder().encode(encoding))
      #expect(decoded == encoding)
      let network = try network(inputs: encoding.features.outputs)
      try network.setTableEncoding(encoding)
      let file = try TemporaryFile([])
      try Model(network).save(to: file.path)
      #expect(try Model<Float>(contentsOf: file.path).tableEncoding == encoding)
      #expect(try Network(Model<Float>(contentsOf: file.path)).tableEncoding == encoding)
      try network.setTableEncoding(nil)
      #expect(network.tableEncoding == nil)
    }
    #expect(throws: ChainruleError.self) { try network(inputs: 1).setTableEncoding(fitted()) }
  }

  /// The JSON of an encoding of one feature, with parts of it replaced.
  private static func json(
    columns: String = "[{}]", names: String = "[\"a\"]", targets: String = "{\"kind\":\"numbers\"}",
    more: String = "", missingTexts: String = "[]"
  ) -> String {
    "{\"table\":{\"features\":{\"columnNames\":\(names),\"columns\":\(columns),\"missingTexts\":\(missingTexts),"
      + "\"unknown\":\"error\"\(more)},\"targets\":\(targets)}}"
  }

  /// Texts of other programs.
  private static let foreign: [String] = [
    "", "{", "null", "[]", "{}", "{\"table\":null}", "{\"author\":\"A\"}",
    String(repeating: "[", count: 100_000),
  ]

  private static let damaged: [String] = [
    "{\"table\":{}}", "{\"table\":1}", json(columns: "[{},{}]", names: "[\"a\",\"b\"]"),
    json(columns: "[]", names: "[]"), json(columns: "[{},{}]", names: "[\"a\",\"a\"]"),
    json(columns: "[{},{}]"),
    json(columns: "[{\"missing\":1e999}]"), json(columns: "[{\"offset\":-1e999}]"),
    json(columns: "[{\"categories\":[]}]"), json(columns: "[{\"categories\":[\"u\",\"u\"]}]"),
    json(columns: "[{\"categories\":[\"u\"],\"missing\":\"v\"}]"),
    json(columns: "[{\"categories\":[\"u\",\"v\"]}]"),
    json(columns: "[{\"indicatesMissing\":true}]"),
    json(targets: "{\"kind\":\"classes\",\"classes\":[\"u\",\"u\"]}"),
    json(targets: "{\"kind\":\"classes\",\"classes\":[]}"),
    json(targets: "{\"kind\":\"classes\"}"), json(targets: "{\"kind\":\"numbers\",\"classes\":[\"u\"]}"),
    json(targets: "{\"kind\":\"other\"}"),
    json(targets: "{\"kind\":\"numbers\",\"columnNames\":[\"u\",\"u\"]}"),
    json(more: ",\"decimal\":\"x\""), json(more: ",\"decimal\":\"\u{E9}\u{301}\""),
    json(more: ",\"thousands\":\".\""),
    json(more: ",\"layout\":{\"width\":-1,\"features\":[0],\"targets\":[]}"),
    json(more: ",\"layout\":{\"width\":1,\"features\":[1],\"targets\":[]}"),
    json(more: ",\"layout\":{\"width\":2,\"features\":[-9223372036854775808],\"targets\":[1]}"),
    json(more: ",\"layout\":{\"width\":3,\"features\":[1],\"targets\":[1]}"),
    json(more: ",\"layout\":{\"width\":99999999999999999999,\"features\":[0],\"targets\":[]}"),
  ]

  /// Reads a model with one input from a file that has this text among its metadata.
  private func model(with text: String) throws -> Model<Float> {
    let network = try network(inputs: 1)
    try network.core.setMetadata(text)
    let file = try TemporaryFile([])
    try Model(network).save(to: file.path)
    return try Model(contentsOf: file.path)
  }

  @Test(arguments: foreign.indices) func `is nil where a file's text is of another kind`(index: Int) throws {
    #expect(try model(with: Self.foreign[index]).tableEncoding == nil)
  }

  @Test(arguments: damaged.indices) func `is an error where a file has it damaged`(index: Int) throws {
    #expect(
      complaint { try model(with: Self.damaged[index]) }.contains(
        "the encoding of the table that the model was trained on"), "\(Self.damaged[index])")
  }

  @Test func `takes no time for a table that is said to be wide`() throws {
    let network = try network(inputs: 1)
    try network.core.setMetadata(
      Self.json(
        names: "null", more: ",\"layout\":{\"width\":9223372036854775807,\"features\":[0],\"targets\":[1]}"))
    let encoding = try #require(network.tableEncoding)
    #expect(!encoding.features.isPlain)
    let table = try CSVTable(bytes: Array("1,2\n3,4\n".utf8))
    #expect(throws: ChainruleError.self) { try encoding.features.features(of: table) as [Float] }
  }

  @Test func `refuses a category twice where it is made by hand`() throws {
    let places = places(of: ["u", "v", "u"])
    #expect(places[ExactText("u")] == 0 && places.count == 2)
  }
}
