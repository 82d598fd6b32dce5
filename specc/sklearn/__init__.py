"""Models of specc as estimators of scikit-learn (`pip install specc-nn[sklearn]`).

    from specc.sklearn import SpecClassifier

    model = SpecClassifier("flowers.dl", epochs=50, lr=0.01)
    GridSearchCV(model, {"hidden": [16, 64]}, n_jobs=2).fit(X, y)

The model is a .dl file or its text; sizes without a number (`dim features`) follow from X and y.
Without a model it is a small dense network on standardized inputs. Any size, constant or setting of
the file is a parameter of the estimator: `lr`, `optimizer`, `hidden`.

default         the network that stands in where no model is given
estimator       what both estimators share
classifier      SpecClassifier
regressor       SpecRegressor
"""

from specc.sklearn.classifier import SpecClassifier
from specc.sklearn.regressor import SpecRegressor

__all__ = ["SpecClassifier", "SpecRegressor"]
