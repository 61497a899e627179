import Foundation
import TestSupport
import Testing

@testable import Chainrule

@Suite struct `A path or a text for C` {
  @Test func `with a null character is refused, and nothing is written`() async throws {
    let file = try TemporaryFile("a,y\n1,2\n2,3\n")
    let place = file.path
    let path = place + "\0more"
    let network = try Network<Float>(inputs: 1, layers: [.dense(Dense(1))])
    let trainer = try Trainer(network, loss: .meanSquaredError)
    let model = try Model(network)
    let calls: [(String, () throws -> Any)] = [
      ("save", { try model.save(to: path) }), ("Model", { try Model<Float>(contentsOf: path) }),
      ("SavedModel", { try SavedModel(contentsOf: path) }),
      ("import", { try SavedModel(safetensors: path, activations: [.relu]) }),
      ("saveCheckpoint", { try trainer.saveCheckpoint(to: path) }),
      ("restoreCheckpoint", { try trainer.restoreCheckpoint(from: path) }),
      ("CSVTable", { try CSVTable(file: path) }), ("CSVReader", { try CSVReader(path) }),
      ("CSVSource", { try CSVSource<Float>(file: path) }), ("DataFile", { try DataFile(path) }),
      ("NumPyArray", { try NumPyArray(file: path) }), ("IDXFile", { try IDXFile(file: path) }),
      ("FileReplacement", { try FileReplacement(at: path) }),
      ("Checkpoints", { try Checkpoints(in: path, every: .epochs(1), keeping: 1).prepare(resuming: nil) }),
    ]
    for (name, call) in calls {
      #expect(complaint(call).contains("the name has a null character"), "\(name): \(complaint(call))")
    }
    let folder = URL(filePath: place).deletingLastPathComponent().path
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["data"])
    #expect(complaint { try network.core.setNames(.features, to: ["a\0b"]) }.contains("null character"))
    #expect(complaint { try network.core.setMetadata("a\0b") }.contains("null character"))
    withExtendedLifetime(file) {}
  }

  @Test func `of a URL is a file's`() throws {
    let model = try Model(Network<Float>(inputs: 1, layers: [.dense(Dense(1))]))
    for text in ["https://example.org/model.safetensors", "data:,x", "ftp://a/b"] {
      let url = try #require(URL(string: text))
      #expect(complaint { try model.save(to: url) }.contains("this is not the URL of a file"))
      #expect(complaint { try Model<Float>(contentsOf: url) }.contains("this is not the URL of a file"))
    }
  }
}
