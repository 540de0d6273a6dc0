# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.models.cifar_alexnet import alexnet_cifar as alexnet_cifar
from kerasprune.models.cifar_densenet import densenet_cifar as densenet_cifar
from kerasprune.models.cifar_resnet import resnet_cifar as resnet_cifar
from kerasprune.models.cifar_vgg import vgg_cifar as vgg_cifar
from kerasprune.models.cifar_vgg import vgg_snip as vgg_snip
from kerasprune.models.cifar_wide_resnet import wide_resnet as wide_resnet
from kerasprune.models.detector import fcos as fcos
from kerasprune.models.imagenet_resnet import resnet_imagenet as resnet_imagenet
from kerasprune.models.keras_applications import densenet121 as densenet121
from kerasprune.models.keras_applications import efficientnet_b0 as efficientnet_b0
from kerasprune.models.lenet import lenet_300_100 as lenet_300_100
from kerasprune.models.lenet import lenet_5 as lenet_5
from kerasprune.models.mobilenet import mobilenet_v2 as mobilenet_v2
from kerasprune.models.recurrent import gru_rows as gru_rows
from kerasprune.models.recurrent import lstm_rows as lstm_rows
from kerasprune.models.registry import models as _models
from kerasprune.models.u_net import unet as unet
from kerasprune.models.vision_transformer import vit as vit
add = _models.add
get = _models.get
names = _models.names
